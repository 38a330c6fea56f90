package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/ports"
)

const (
	drainedAtOnce = 50               // how many letters are with keep at most
	drainPause    = 10 * time.Second // before one that was not kept comes again
)

func (b *Broker) setAside(m message, reason error) {
	m.ID = cmp.Or(m.ID, wire.NewID())
	at := now()
	letter := m.DeadLetter(ports.Failure{
		Reason: reason.Error(), Attempts: m.attempt, FirstFailure: cmp.Or(m.firstFailure, at), LastFailure: at,
	})
	b.log().Warn("message is set aside as a dead letter", "id", letter.ID, "attempts", m.attempt, "reason", reason)
	b.dead.put(letter)
}

// DeadLetters returns what was set aside and is in nobody's hands now, oldest
// first, and leaves it in the queue.
func (b *Broker) DeadLetters() []ports.DeadLetter {
	letters := b.dead.list()
	for i, letter := range letters {
		letters[i] = cloneLetter(letter)
	}
	return letters
}

// Drain hands the dead letters to keep until ctx ends. One that was not kept
// comes again after 10 s; when ctx ends it goes back into the queue at once.
func (q DeadLetterQueue) Drain(ctx context.Context, keep func(context.Context, ports.DeadLetter) error) error {
	b := q.broker
	if keep == nil {
		return errors.New("drain dead letters: keep is nil")
	}
	var letters sync.WaitGroup
	defer letters.Wait()
	inHand := make(chan struct{}, drainedAtOnce)
	for {
		select {
		case inHand <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		letter, ok := b.dead.take(ctx)
		if !ok {
			return nil
		}
		letters.Go(func() {
			err := b.limits().Call(ctx, func(ctx context.Context) error {
				return keep(ctx, cloneLetter(letter))
			})
			<-inHand
			if err == nil {
				return
			}
			if !errors.Is(err, ports.ErrUnavailable) { // keep says that itself, once for all
				b.log().Warn("dead letter was not kept; it comes again", "id", letter.ID, "error", err)
			}
			select {
			case <-time.After(drainPause):
			case <-ctx.Done():
			}
			b.dead.put(letter)
		})
	}
}

// Replay queues the letter's message anew.
func (q DeadLetterQueue) Replay(ctx context.Context, letter ports.DeadLetter) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("replay dead letter %s: %w", letter.ID, err)
	}
	q.broker.queue.put(message{Message: wire.FromDeadLetter(letter), attempt: 1})
	return nil
}
