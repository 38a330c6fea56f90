package memory

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

const (
	drainedAtOnce = 50               // running calls of keep
	drainPause    = 10 * time.Second // before keep gets a letter again
)

func (c Consumer) setAside(m message, reason error) {
	m.ID = cmp.Or(m.ID, wire.NewID())
	at := now()
	letter := wire.DeadLetter(c.subscription, m.Message, ports.Failure{
		Reason: reason.Error(), Attempts: m.attempt, FirstFailure: cmp.Or(m.firstFailure, at), LastFailure: at,
	})
	c.broker.log().Warn("message is set aside as a dead letter", "id", letter.ID, "attempts", m.attempt, "reason", reason)
	c.broker.dead.put(letter)
}

// DeadLetters returns the dead letters in the queue, oldest first, without those
// that a Drain has taken. They stay in the queue.
func (b *Broker) DeadLetters() []ports.DeadLetter {
	letters := b.dead.list()
	for i, letter := range letters {
		letters[i].Message = letter.Message.Clone()
	}
	return letters
}

// Drain implements [ports.DeadLetterQueue]. After an error of keep a letter waits
// for 10 s, or until ctx ends, and goes back into the queue.
func (q DeadLetterQueue) Drain(ctx context.Context, keep func(context.Context, ports.DeadLetter) error) error {
	b := q.broker
	if keep == nil {
		return errors.New("drain dead letters: keep is nil")
	}
	defer b.dead.consume()()
	var letters sync.WaitGroup
	defer letters.Wait()
	slots := make(chan struct{}, drainedAtOnce)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		letter, ok := b.dead.take(ctx)
		if !ok {
			return nil
		}
		letters.Go(func() {
			err := b.limits().Call(ctx, func(ctx context.Context) error {
				handed := letter
				handed.Message = letter.Message.Clone()
				return keep(ctx, handed)
			})
			<-slots
			if err == nil {
				b.dead.finish()
				return
			}
			putBack := b.dead.delay(letter)
			if !errors.Is(err, ports.ErrUnavailable) { // keep logs an outage itself, once for all letters
				b.log().Warn("dead letter was not kept; it comes again", "id", letter.ID, "error", err)
			}
			select {
			case <-time.After(drainPause):
			case <-ctx.Done():
			}
			putBack()
		})
	}
}

// SetAside implements [ports.DeadLetterQueue].
func (q DeadLetterQueue) SetAside(ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
	m, err := wire.Encode(event)
	if err = cmp.Or(ctx.Err(), wire.CheckSubscription(subscription), err); err != nil {
		return fmt.Errorf("set event %s aside: %w", event.ID, err)
	}
	failure.FirstFailure, failure.LastFailure = domain.TruncateTime(failure.FirstFailure), domain.TruncateTime(failure.LastFailure)
	q.broker.dead.put(wire.DeadLetter(subscription, m, failure))
	return nil
}

// Replay implements [ports.DeadLetterQueue].
func (q DeadLetterQueue) Replay(ctx context.Context, letter ports.DeadLetter) error {
	to, err := q.broker.queue(letter.Subscription), ctx.Err()
	if err == nil && to == nil {
		err = fmt.Errorf("%w: the queue of subscription %q does not exist", ports.ErrUnavailable, letter.Subscription)
	}
	if err != nil {
		return fmt.Errorf("replay dead letter %s: %w", letter.ID, err)
	}
	to.put(message{Message: letter.Message.Clone(), attempt: 1})
	return nil
}
