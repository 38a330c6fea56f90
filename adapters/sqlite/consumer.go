package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/adapters/internal/dispatch"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Consumer takes events from one queue.
type Consumer struct {
	store        *Store
	subscription string // empty: the main queue
}

var _ ports.EventQueue = Consumer{}

// Consumer returns the consumer of the main queue, which always exists.
func (s *Store) Consumer() Consumer { return Consumer{s, ""} }

// Subscription returns the consumer of the subscription's queue, which exists from the
// first call of Consume on. An empty name is the main queue's. The consumer's methods
// return an error for a name that [wire.CheckSubscription] refuses.
func (s *Store) Subscription(name string) Consumer { return Consumer{s, name} }

// Ping returns nil while this store consumes the queue and the file can be written.
func (c Consumer) Ping(ctx context.Context) error {
	if !c.store.consuming.has(c.subscription) {
		return fmt.Errorf("ping queue of subscription %q: %w: this process does not consume it", c.subscription, ports.ErrUnavailable)
	}
	return c.store.Ping(ctx)
}

// System returns the product's name in traces.
func (c Consumer) System() string { return "sqlite" }

// DeleteCommand returns the command that deletes the queue, for operators. It needs
// SQLite's own program, sqlite3.
func (c Consumer) DeleteCommand() string {
	quoted := func(text, quote, escaped string) string {
		return quote + strings.ReplaceAll(text, quote, escaped) + quote
	}
	name := quoted(c.subscription, "'", "''")
	sql := "PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE; DELETE FROM subscriptions WHERE name = " + name + "; DELETE FROM messages WHERE subscription = " + name + "; COMMIT"
	return "sqlite3 " + quoted(c.store.file.path, "'", `'\''`) + " " + quoted(sql, "'", `'\''`)
}

// taken is a message that this process has taken.
type taken struct {
	message
	attempt      int       // the next one, from 1
	firstFailure time.Time // zero: no failure yet
}

// Consume implements [ports.EventConsumer].
//
// It takes messages, several in one write, and removes each after its handler. If the
// process dies in between, the message comes again, to another process at once. If the
// machine does, messages that were removed in the last moment may come again, too.
func (c Consumer) Consume(ctx context.Context, handle ports.Handler) error {
	if handle == nil {
		return errors.New("consume events: the handler is nil")
	}
	if err := wire.CheckSubscription(c.subscription); err != nil {
		return fmt.Errorf("consume events: %w", err)
	}
	r := &run{
		Consumer: c, handle: handle, slots: make(chan struct{}, c.prefetch()),
		outage: &outage{logger: c.store.options.Logger.With("subscription", c.subscription), what: "no events are consumed"},
	}
	defer r.handlers.Wait()
	if err := c.store.persistDeclare(ctx, r.outage, c.subscription); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("consume events: %w", err)
	}
	defer c.store.consuming.add(c.subscription)()
	err := c.store.intake(ctx, c.subscription, r.slots, func(free int) (int, time.Duration, error) {
		messages, pause, err := r.take(ctx, free)
		if err != nil && ctx.Err() == nil {
			return 0, 0, err
		}
		for _, m := range messages { // after the end of ctx they may be taken, and go back
			r.dispatch(ctx, m)
		}
		return len(messages), pause, nil
	})
	if err != nil {
		return fmt.Errorf("consume events: %w", err)
	}
	return nil
}

// run is one call of Consume.
type run struct {
	Consumer
	handle   ports.Handler
	slots    chan struct{} // holds one for each message that was taken
	handlers dispatch.Group
	outage   *outage
}

// prefetch returns the most events that a call of Consume handles at once.
func (c Consumer) prefetch() int {
	o := c.store.options
	return dispatch.Prefetch(o.SubscriptionPrefetch[c.subscription], o.Prefetch)
}

// take takes up to limit messages: those whose retry is due, then the new ones, in the
// order of their arrival. If they are fewer, it also returns how long the next retry is
// away, and makes the queue again if somebody has deleted it. It waits while the file
// can't be used.
func (r *run) take(ctx context.Context, limit int) (messages []taken, pause time.Duration, err error) {
	s := r.store
	var declared int
	err = s.persist(ctx, r.outage, fleeting, func(tx *tx) error {
		messages, pause, declared = nil, 0, 0
		now := time.Now()
		err := tx.query(func(row row) bool {
			messages = append(messages, taken{
				message:      message{row.ColumnInt64(0), row.ColumnText(1), row.blob(2)},
				attempt:      row.ColumnInt(3),
				firstFailure: row.time(4),
			})
			return true
		}, takeMessages, s.owner, r.subscription, now, now.Add(slices.Max(s.options.Delays)+time.Minute), limit)
		if err != nil || len(messages) == limit {
			return err
		}
		if pause, err = tx.untilNext(now, nextDue, r.subscription); err != nil {
			return err
		}
		declared, err = tx.declare(r.subscription)
		return err
	})
	if err == nil && declared > 0 {
		s.options.Logger.Warn("the queue was deleted while it is consumed; it exists again, without its events", "subscription", r.subscription)
	}
	slices.SortFunc(messages, func(a, b taken) int { return cmp.Compare(a.id, b.id) })
	return messages, pause, err
}

const (
	// A retry that is due much later than any delay was made by a wrong clock.
	takeMessages = `UPDATE messages SET owner = ?1 WHERE id IN (
		SELECT id FROM (SELECT id FROM messages WHERE subscription = ?2 AND owner IS NULL AND due > 0 AND due <= ?3 ORDER BY due, id LIMIT ?5)
		UNION ALL
		SELECT id FROM (SELECT id FROM messages WHERE subscription = ?2 AND owner IS NULL AND due > ?4 ORDER BY due, id LIMIT ?5)
		UNION ALL
		SELECT id FROM (SELECT id FROM messages WHERE subscription = ?2 AND owner IS NULL AND due = 0 ORDER BY id LIMIT ?5)
		LIMIT ?5) RETURNING id, properties, body, attempt, first_failure`

	nextDue = "SELECT min(due) FROM messages WHERE subscription = ? AND owner IS NULL AND due > 0"
)

// dispatch hands the message to the handler. It gives the slot back at the end.
func (r *run) dispatch(ctx context.Context, m taken) {
	message, err := decodeMessage(m.properties, m.body)
	var event domain.Event
	if err == nil {
		event, err = wire.Decode(message)
	}
	if err != nil {
		err := ports.Permanent(err)
		r.handlers.Go("", func() { r.finish(ctx, m, message, err) })
		return
	}
	r.handlers.Go(event.Order.ID, func() {
		if ctx.Err() != nil { // ended while the message waited for an earlier event of its order
			r.giveBack(m)
			return
		}
		err := r.limits().Call(ctx, func(ctx context.Context) error {
			return r.handle(ctx, ports.Delivery{Event: event, Attempt: m.attempt})
		})
		r.finish(ctx, m, message, err)
	})
}

func (s *Store) limits() dispatch.Limits {
	return dispatch.Limits{Timeout: s.options.HandleTimeout, StopTimeout: s.options.StopTimeout}
}

func (r *run) limits() dispatch.Limits { return r.store.limits() }

// finish writes what becomes of the message after its handler has returned err. It
// repeats the write while the file can't be used, and after the end of ctx for as long
// as a handler may go on. If it fails, the message comes again when this process has
// ended.
func (r *run) finish(ctx context.Context, m taken, message ports.Message, err error) {
	defer func() { <-r.slots }()
	_ = r.store.untilStopped(ctx, func(ctx context.Context) error { return r.settle(ctx, m, message, err) })
}

// untilStopped calls f with a context that ends the time of a handler after ctx.
func (s *Store) untilStopped(ctx context.Context, f func(context.Context) error) error {
	const forever = 100 * 365 * 24 * time.Hour
	return dispatch.Limits{Timeout: forever, StopTimeout: s.options.StopTimeout}.Call(ctx, f)
}

func (r *run) settle(ctx context.Context, m taken, message ports.Message, err error) error {
	s, delays, log := r.store, r.store.options.Delays, r.store.options.Logger
	remove := func(tx *tx) error {
		_, err := tx.exec("DELETE FROM messages WHERE id = ? AND owner = ?", m.id, s.owner)
		return err
	}
	if err == nil {
		return s.persist(ctx, r.outage, fleeting, remove)
	}
	now := domain.TruncateTime(time.Now())
	if ports.IsPostponed(err) { // the handler logs its own outage
		log.Debug("event is postponed", "event_id", message.ID, "attempts", m.attempt-1, "again_in", delays[0].String(), "reason", err)
		return s.persist(ctx, r.outage, fleeting, func(tx *tx) error { return tx.delay(s, r.subscription, m, now.Add(delays[0])) })
	}
	m.firstFailure = cmp.Or(m.firstFailure, now)
	if ports.IsPermanent(err) || m.attempt > len(delays) {
		message.ID = cmp.Or(message.ID, wire.NewID())
		letter := wire.DeadLetter(r.subscription, message, ports.Failure{
			Reason: err.Error(), Attempts: m.attempt, FirstFailure: m.firstFailure, LastFailure: now,
		})
		log.Warn("message is set aside as a dead letter", "id", letter.ID, "attempts", m.attempt, "reason", err)
		return s.persist(ctx, r.outage, durable, func(tx *tx) error {
			removed, err := tx.exec("DELETE FROM messages WHERE id = ? AND owner = ?", m.id, s.owner)
			if err != nil || removed == 0 {
				return err
			}
			return tx.setAside(s, letter)
		})
	}
	delay := delays[m.attempt-1]
	log.Warn("attempt failed; the event comes again", "event_id", message.ID, "attempts", m.attempt, "again_in", delay.String(), "reason", err)
	m.attempt++
	return s.persist(ctx, r.outage, fleeting, func(tx *tx) error { return tx.delay(s, r.subscription, m, now.Add(delay)) })
}

// delay returns the message to its queue, where it waits until the time at.
func (t *tx) delay(s *Store, subscription string, m taken, at time.Time) error {
	_, err := t.exec("UPDATE messages SET owner = NULL, attempt = ?, first_failure = ?, due = ? WHERE id = ? AND owner = ?",
		m.attempt, m.firstFailure, at, m.id, s.owner)
	t.after = append(t.after, func() { s.bells.ring(subscription) }) // the consumer's pause may be longer
	return err
}

// giveBack returns a message whose handler was not called.
func (r *run) giveBack(m taken) {
	defer func() { <-r.slots }()
	err := r.store.write(context.Background(), fleeting, func(tx *tx) error {
		_, err := tx.exec("UPDATE messages SET owner = NULL WHERE id = ? AND owner = ?", m.id, r.store.owner)
		tx.after = append(tx.after, func() { r.store.bells.ring(r.subscription) })
		return err
	})
	if err != nil {
		r.outage.begin(err) // the message comes again when this process has ended
	}
}
