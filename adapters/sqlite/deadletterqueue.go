package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// DeadLetterQueue is the queue of the dead letters that no store has kept yet.
type DeadLetterQueue struct{ store *Store }

var _ ports.DeadLetterQueue = DeadLetterQueue{}

// DeadLetterQueue returns the queue of the dead letters.
func (s *Store) DeadLetterQueue() DeadLetterQueue { return DeadLetterQueue{s} }

const (
	drainedAtOnce = 50               // running calls of keep
	drainPause    = 10 * time.Second // before keep gets a letter again
)

// queuedLetter is a dead letter that this process has taken.
type queuedLetter struct {
	id     int64
	letter ports.DeadLetter
}

// Drain implements [ports.DeadLetterQueue]. After an error of keep a letter comes again
// after 10 s, or at once to another Drain if ctx has ended.
func (q DeadLetterQueue) Drain(ctx context.Context, keep func(context.Context, ports.DeadLetter) error) error {
	s := q.store
	if keep == nil {
		return errors.New("drain dead letters: keep is nil")
	}
	trouble := &outage{logger: s.options.Logger, what: "no dead letters are kept"}
	var letters sync.WaitGroup
	defer letters.Wait()
	defer s.consuming.add(deadLetters)()
	slots := make(chan struct{}, drainedAtOnce)
	err := s.intake(ctx, deadLetters, slots, func(free int) (int, time.Duration, error) {
		taken, pause, err := q.take(ctx, trouble, free)
		if err != nil && ctx.Err() == nil {
			return 0, 0, err
		}
		for _, t := range taken {
			letters.Go(func() {
				defer func() { <-slots }()
				q.hand(ctx, trouble, t, keep)
			})
		}
		return len(taken), pause, nil
	})
	if err != nil {
		return fmt.Errorf("drain dead letters: %w", err)
	}
	return nil
}

// take takes up to limit letters that are due. If they are fewer, it also returns how long
// the next is away.
func (q DeadLetterQueue) take(ctx context.Context, trouble *outage, limit int) (taken []queuedLetter, pause time.Duration, err error) {
	s := q.store
	err = s.persist(ctx, trouble, fleeting, func(tx *tx) error {
		taken, pause = nil, 0
		now := time.Now()
		err := tx.query(func(r row) bool {
			taken = append(taken, readQueued(r))
			return true
		}, takeLetters, s.owner, now, now.Add(2*drainPause), limit)
		if err != nil || len(taken) == limit {
			return err
		}
		pause, err = tx.untilNext(now, "SELECT min(due) FROM dead_letter_queue WHERE owner IS NULL")
		return err
	})
	return taken, pause, err
}

// A letter that is due much later than the pause was returned by a wrong clock.
const takeLetters = `UPDATE dead_letter_queue SET owner = ?1 WHERE id IN (
	SELECT id FROM (SELECT id FROM dead_letter_queue WHERE owner IS NULL AND due <= ?2 ORDER BY due, id LIMIT ?4)
	UNION ALL
	SELECT id FROM (SELECT id FROM dead_letter_queue WHERE owner IS NULL AND due > ?3 ORDER BY due, id LIMIT ?4)
	LIMIT ?4) RETURNING id, letter_id, subscription, properties, body, failures`

// readQueued reads a letter. A damaged one is kept as far as it can be read.
func readQueued(r row) queuedLetter {
	fields := record{row: r, id: r.ColumnText(1)}
	failures := readFailures(&fields, 5)
	message, err := decodeMessage(r.ColumnText(3), r.blob(4))
	if err != nil {
		message.ID = fields.id
		fields.fail("message", "is damaged: "+err.Error())
	}
	letter := ports.DeadLetter{ID: fields.id, Subscription: r.ColumnText(2), Message: message}
	if fields.err == nil {
		letter.Failure = failures[0]
	} else {
		at := domain.TruncateTime(time.Now())
		letter.Failure = ports.Failure{Reason: fields.err.Error(), Attempts: 1, FirstFailure: at, LastFailure: at}
	}
	return queuedLetter{r.ColumnInt64(0), letter}
}

// hand calls keep, unless ctx has ended, and removes the letter or returns it to the queue.
func (q DeadLetterQueue) hand(ctx context.Context, trouble *outage, taken queuedLetter, keep func(context.Context, ports.DeadLetter) error) {
	s, letter := q.store, taken.letter
	err := ctx.Err()
	if err == nil {
		err = s.limits().Call(ctx, func(ctx context.Context) error { return keep(ctx, letter) })
		if err != nil && !errors.Is(err, ports.ErrUnavailable) { // keep logs an outage itself, once for all letters
			s.options.Logger.Warn("dead letter was not kept; it comes again", "id", letter.ID, "error", err)
		}
	}
	due := time.Now()
	if ctx.Err() == nil {
		due = due.Add(drainPause)
	}
	_ = s.untilStopped(ctx, func(ctx context.Context) error {
		return s.persist(ctx, trouble, fleeting, func(tx *tx) (fault error) {
			if err == nil {
				_, fault = tx.exec("DELETE FROM dead_letter_queue WHERE id = ? AND owner = ?", taken.id, s.owner)
				return fault
			}
			_, fault = tx.exec("UPDATE dead_letter_queue SET owner = NULL, due = ? WHERE id = ? AND owner = ?", due, taken.id, s.owner)
			tx.after = append(tx.after, func() { s.bells.ring(deadLetters) })
			return fault
		})
	})
}

// SetAside implements [ports.DeadLetterQueue].
func (q DeadLetterQueue) SetAside(ctx context.Context, subscription string, event domain.Event, failure ports.Failure) (err error) {
	defer describe(&err, "set event %s aside", event.ID)
	m, err := wire.Encode(event)
	if err = cmp.Or(wire.CheckSubscription(subscription), err); err != nil {
		return err
	}
	failure.FirstFailure, failure.LastFailure = domain.TruncateTime(failure.FirstFailure), domain.TruncateTime(failure.LastFailure)
	letter := wire.DeadLetter(subscription, m, failure)
	return q.store.write(ctx, durable, func(tx *tx) error { return tx.setAside(q.store, letter) })
}

// Replay implements [ports.DeadLetterQueue].
func (q DeadLetterQueue) Replay(ctx context.Context, letter ports.DeadLetter) (err error) {
	defer describe(&err, "replay dead letter %s", letter.ID)
	m, err := newMessage(letter.Message)
	if err != nil {
		return err
	}
	return q.store.write(ctx, durable, func(tx *tx) error {
		tx.after = append(tx.after, func() { q.store.bells.ring(letter.Subscription) })
		return tx.put(letter.Subscription, m)
	})
}
