package porttest_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// replaying makes a broker with another Replay.
func replaying(replay func(whole *memory.Broker) replayFunc) func() porttest.Broker {
	return broker(func(whole *memory.Broker, b *porttest.Broker) {
		queue := deadLetterQueue{whole.DeadLetterQueue().Drain, replay(whole)}
		b.DeadLetters = func() ports.DeadLetterQueue { return queue }
	})
}

func brokenReplays() []broken[porttest.Broker] {
	var table []broken[porttest.Broker]
	for property, lose := range properties {
		table = append(table, broken[porttest.Broker]{name: "Replay loses the " + property, open: replaying(func(whole *memory.Broker) replayFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				lose(&letter)
				return whole.DeadLetterQueue().Replay(ctx, letter)
			}
		}), fails: []string{
			"what is replayed keeps every property of its message, whether it is an event or not",
		}, more: true})
	}
	return append(table, []broken[porttest.Broker]{
		{name: "Replay does nothing", open: replaying(func(*memory.Broker) replayFunc {
			return func(ctx context.Context, _ ports.DeadLetter) error { return ctx.Err() }
		}), fails: []string{
			"what is replayed keeps every property of its message, whether it is an event or not",
			"what is replayed is handed over at the first attempt, with every field as it was, and no dead letter any more",
			"what is replayed and fails again is the same dead letter with a later failure",
			"what is no event is drained as it came, and is the same dead letter when it was replayed",
			"Replay with an ended context says so, and puts nothing back",
			"Drain and Replay leave the dead letter to the caller",
		}},

		{name: "Replay does it twice", open: replaying(func(whole *memory.Broker) replayFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				return errors.Join(whole.DeadLetterQueue().Replay(ctx, letter), whole.DeadLetterQueue().Replay(ctx, letter))
			}
		}), fails: []string{
			"what is replayed is handed over at the first attempt, with every field as it was, and no dead letter any more",
		}, more: true},

		{name: "what is replayed goes on counting", open: broker(func(whole *memory.Broker, b *porttest.Broker) {
			var before sync.Map // attempts by event
			b.DeadLetters = func() ports.DeadLetterQueue {
				return deadLetterQueue{whole.DeadLetterQueue().Drain, func(ctx context.Context, letter ports.DeadLetter) error {
					before.Store(domain.EventID(letter.ID), letter.Failures[len(letter.Failures)-1].Attempts)
					return whole.DeadLetterQueue().Replay(ctx, letter)
				}}
			}
			b.Consumer = func() ports.EventConsumer {
				return consumerFunc(func(ctx context.Context, handle ports.Handler) error {
					return whole.Consumer().Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
						if n, replayed := before.Load(d.Event.ID); replayed {
							d.Attempt += n.(int)
						}
						return handle(ctx, d)
					})
				})
			}
		}), fails: []string{
			"what is replayed is handed over at the first attempt, with every field as it was, and no dead letter any more",
			"what is replayed and fails again is the same dead letter with a later failure",
		}, more: true},

		{name: "what was replayed stays a dead letter", open: broker(func(whole *memory.Broker, b *porttest.Broker) {
			replayed := make(chan ports.DeadLetter, 100)
			queue := deadLetterQueue{
				func(ctx context.Context, keep keepFunc) error {
					var again sync.WaitGroup
					defer again.Wait()
					again.Go(func() {
						for {
							select {
							case letter := <-replayed:
								keep(ctx, letter)
							case <-ctx.Done():
								return
							}
						}
					})
					return whole.DeadLetterQueue().Drain(ctx, keep)
				},
				func(ctx context.Context, letter ports.DeadLetter) error {
					err := whole.DeadLetterQueue().Replay(ctx, letter)
					if err == nil {
						replayed <- letter
					}
					return err
				},
			}
			b.DeadLetters = func() ports.DeadLetterQueue { return queue }
		}), fails: []string{
			"what is replayed is handed over at the first attempt, with every field as it was, and no dead letter any more",
		}, more: true},

		{name: "Replay does not look at its context", open: replaying(func(whole *memory.Broker) replayFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				return whole.DeadLetterQueue().Replay(context.WithoutCancel(ctx), letter)
			}
		}), fails: []string{
			"Replay with an ended context says so, and puts nothing back",
		}},

		{name: "Replay looks at its context when it is done", open: replaying(func(whole *memory.Broker) replayFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				return errors.Join(whole.DeadLetterQueue().Replay(context.WithoutCancel(ctx), letter), ctx.Err())
			}
		}), fails: []string{
			"Replay with an ended context says so, and puts nothing back",
		}},

		{name: "Replay takes bodies for text", open: replaying(func(whole *memory.Broker) replayFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				letter.Body = bytes.ToValidUTF8(letter.Body, []byte("?"))
				return whole.DeadLetterQueue().Replay(ctx, letter)
			}
		}), fails: []string{
			"what is no event is drained as it came, and is the same dead letter when it was replayed",
		}},

		{name: "Replay makes another message of it", open: replaying(func(whole *memory.Broker) replayFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				letter.MessageID += "-replayed"
				return whole.DeadLetterQueue().Replay(ctx, letter)
			}
		}), fails: []string{
			"what is replayed keeps every property of its message, whether it is an event or not",
			"what is replayed and fails again is the same dead letter with a later failure",
			"what is no event is drained as it came, and is the same dead letter when it was replayed",
		}},

		{name: "what fails again has failed at the same time as before", open: draining(func(whole *memory.Broker) drainFunc {
			var first sync.Map // failure by letter
			return changed(func(letter *ports.DeadLetter) {
				f, _ := first.LoadOrStore(letter.ID, letter.Failures[0])
				letter.Failures[0] = f.(ports.Failure)
			})(whole)
		}), fails: []string{
			"what is replayed and fails again is the same dead letter with a later failure",
		}},

		{name: "what is drained is not copied", open: draining(func(whole *memory.Broker) drainFunc {
			var kept sync.Map // by id
			return changed(func(letter *ports.DeadLetter) {
				same, _ := kept.LoadOrStore(letter.ID, *letter)
				letter.Body, letter.Headers = same.(ports.DeadLetter).Body, same.(ports.DeadLetter).Headers
			})(whole)
		}), fails: []string{
			"Drain and Replay leave the dead letter to the caller",
		}},

		{name: "Replay keeps the letter for a while", open: replaying(func(whole *memory.Broker) replayFunc {
			return func(ctx context.Context, letter ports.DeadLetter) error {
				err := ctx.Err()
				if err == nil {
					time.AfterFunc(10*time.Millisecond, func() { whole.DeadLetterQueue().Replay(context.WithoutCancel(ctx), letter) })
				}
				return err
			}
		}), fails: []string{
			"Drain and Replay leave the dead letter to the caller",
		}},
	}...)
}
