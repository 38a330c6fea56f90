package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func brokenFailures() []broken[porttest.Broker] {
	const ms = time.Millisecond
	return []broken[porttest.Broker]{
		{name: "what a handler fails on is lost", open: handling(func(_ context.Context, handle ports.Handler) ports.Handler {
			return func(ctx context.Context, d ports.Delivery) error {
				if err := handle(ctx, d); ports.IsPermanent(err) {
					return err
				}
				return nil
			}
		}), fails: []string{
			"an event whose handler fails comes again until it is handled, and counts its attempts",
			"after the last attempt an event is set aside, with attempts and reason",
		}, more: true},

		{name: "what fails comes again at once", open: delaying(0, 0, 0), fails: []string{
			"the delay before an event comes again grows from one attempt to the next",
			"a failing event does not hold up those of other orders",
			"what is set aside is drained once, with id, reason, attempts and times",
		}},

		{name: "what fails comes again after the same delay", open: delaying(50*ms, 50*ms, 50*ms), fails: []string{
			"the delay before an event comes again grows from one attempt to the next",
		}},

		{name: "the delay grows once", open: delaying(50*ms, 100*ms, 100*ms), fails: []string{
			"the delay before an event comes again grows from one attempt to the next",
		}},

		{name: "one attempt too few", open: delaying(50*ms, 100*ms), fails: []string{
			"the delay before an event comes again grows from one attempt to the next",
			"after the last attempt an event is set aside, with attempts and reason",
		}},

		{name: "one attempt too many", open: delaying(50*ms, 100*ms, 150*ms, 200*ms), fails: []string{
			"the delay before an event comes again grows from one attempt to the next",
			"after the last attempt an event is set aside, with attempts and reason",
		}},

		{name: "attempts count from nought", open: handling(func(_ context.Context, handle ports.Handler) ports.Handler {
			return func(ctx context.Context, d ports.Delivery) error {
				d.Attempt--
				return handle(ctx, d)
			}
		}), fails: []string{
			"an event whose handler fails comes again until it is handled, and counts its attempts",
			"after the last attempt an event is set aside, with attempts and reason",
		}, more: true},

		{name: "attempts are counted by the consumer", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				var mu sync.Mutex
				attempts := map[domain.EventID]int{}
				return whole.Consumer().Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
					mu.Lock()
					attempts[d.Event.ID]++
					d.Attempt = attempts[d.Event.ID]
					mu.Unlock()
					return handle(ctx, d)
				})
			}
		}), fails: []string{
			"Consume hands over nothing once its context has ended, and the next gets it",
			"an event that is postponed comes again as the same attempt, however often",
			"what is handled while Consume ends stays away",
			"what is replayed and fails again is the same dead letter with a later failure",
		}},

		{name: "a failing event is waited for", open: consuming(func(whole *memory.Broker) consumerFunc {
			whole.Prefetch = 1
			return func(ctx context.Context, handle ports.Handler) error {
				return whole.Consumer().Consume(ctx, func(hctx context.Context, d ports.Delivery) error {
					for {
						err := handle(hctx, d)
						if err == nil || ports.IsPermanent(err) || d.Attempt > len(whole.Delays) || ctx.Err() != nil {
							return err
						}
						time.Sleep(whole.Delays[d.Attempt-1])
						d.Attempt++
					}
				})
			}
		}), fails: []string{
			"a failing event does not hold up those of other orders",
			"Consume hands over several events at once",
		}, more: true},

		{name: "what has failed for good comes again", open: handling(func(_ context.Context, handle ports.Handler) ports.Handler {
			return func(ctx context.Context, d ports.Delivery) error {
				if err := handle(ctx, d); !ports.IsPermanent(err) {
					return err
				}
				return errors.New("not for good")
			}
		}), fails: []string{
			"an event whose handler fails for good is set aside at once",
			"what is handled while Consume ends stays away",
		}, more: true},

		{name: "what has failed for good is known by its outermost error", open: handling(func(_ context.Context, handle ports.Handler) ports.Handler {
			return func(ctx context.Context, d ports.Delivery) error {
				err := handle(ctx, d)
				if ports.IsPermanent(errors.Unwrap(err)) {
					return errors.New(err.Error())
				}
				return err
			}
		}), fails: []string{
			"an event whose handler fails for good is set aside at once",
			"what is set aside is drained once, with id, reason, attempts and times",
		}},

		{name: "what has failed for good is lost", open: handling(func(_ context.Context, handle ports.Handler) ports.Handler {
			return func(ctx context.Context, d ports.Delivery) error {
				if err := handle(ctx, d); !ports.IsPermanent(err) {
					return err
				}
				return nil
			}
		}), fails: []string{
			"an event whose handler fails for good is set aside at once",
			"what is handled while Consume ends stays away",
		}, more: true},

		{name: "to be postponed counts as a failure", open: handling(func(_ context.Context, handle ports.Handler) ports.Handler {
			return func(ctx context.Context, d ports.Delivery) error {
				if err := handle(ctx, d); !ports.IsPostponed(err) {
					return err
				}
				return errors.New("postponed")
			}
		}), fails: []string{
			"an event that is postponed comes again as the same attempt, however often",
		}},

		{name: "what is postponed is lost", open: handling(func(_ context.Context, handle ports.Handler) ports.Handler {
			return func(ctx context.Context, d ports.Delivery) error {
				if err := handle(ctx, d); !ports.IsPostponed(err) {
					return err
				}
				return nil
			}
		}), fails: []string{
			"an event that is postponed comes again as the same attempt, however often",
		}},

		{name: "what is postponed is known by its outermost error", open: handling(func(_ context.Context, handle ports.Handler) ports.Handler {
			return func(ctx context.Context, d ports.Delivery) error {
				err := handle(ctx, d)
				if ports.IsPostponed(errors.Unwrap(err)) {
					return ports.Permanent(errors.New("no such error"))
				}
				return err
			}
		}), fails: []string{
			"an event that is postponed comes again as the same attempt, however often",
		}},

		{name: "a panic gets out", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				var panicked atomic.Value
				err := whole.Consumer().Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
					defer func() {
						if p := recover(); p != nil {
							panicked.Store(p)
							cancel()
						}
					}()
					return handle(ctx, d)
				})
				if p := panicked.Load(); p != nil {
					panic(p)
				}
				return err
			}
		}), fails: []string{
			"an event whose handler panics is set aside, and the consumer lives on",
		}},

		{name: "what a handler panics on is lost", open: handling(recovering(nil)), fails: []string{
			"an event whose handler panics is set aside, and the consumer lives on",
		}},

		{name: "what a handler panics on comes again", open: handling(recovering(errors.New("handler out of order"))), fails: []string{
			"an event whose handler panics is set aside, and the consumer lives on",
		}},

		{name: "what is set aside comes again all the same", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				return whole.Consumer().Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
					err := handle(ctx, d)
					if ports.IsPermanent(err) || err != nil && d.Attempt > len(whole.Delays) {
						time.AfterFunc(100*ms, func() { joined(whole.Publisher().Publish(context.WithoutCancel(ctx), d.Event)) })
					}
					return err
				})
			}
		}), fails: []string{
			"an event whose handler fails for good is set aside at once",
			"after the last attempt an event is set aside, with attempts and reason",
		}, more: true},

		{name: "dead letters are counted as one attempt", open: draining(changed(func(letter *ports.DeadLetter) {
			letter.Failures[0].Attempts = 1
		})), fails: []string{
			"after the last attempt an event is set aside, with attempts and reason",
			"an event whose handler fails for good is set aside at once",
			"what is set aside is drained once, with id, reason, attempts and times",
		}},

		{name: "dead letters lose their reason", open: draining(changed(func(letter *ports.DeadLetter) {
			letter.Failures[0].Reason = ""
		})), fails: []string{
			"after the last attempt an event is set aside, with attempts and reason",
			"an event whose handler fails for good is set aside at once",
			"an event whose handler panics is set aside, and the consumer lives on",
			"what is no event is set aside, and blocks nothing",
			"what is set aside is drained once, with id, reason, attempts and times",
		}},

		{name: "all dead letters have the same reason", open: draining(changed(func(letter *ports.DeadLetter) {
			letter.Failures[0].Reason = "rejected"
		})), fails: []string{
			"after the last attempt an event is set aside, with attempts and reason",
			"an event whose handler fails for good is set aside at once",
			"an event whose handler panics is set aside, and the consumer lives on",
			"what is set aside is drained once, with id, reason, attempts and times",
		}},

		{name: "what is no event is lost", open: draining(func(whole *memory.Broker) drainFunc {
			return func(ctx context.Context, keep keepFunc) error {
				return whole.DeadLetterQueue().Drain(ctx, func(ctx context.Context, letter ports.DeadLetter) error {
					if _, isEvent := domain.EventID(letter.ID).OrderID(); !isEvent {
						return nil
					}
					return keep(ctx, letter)
				})
			}
		}), fails: []string{
			"what is replayed keeps every property of its message, whether it is an event or not",
			"what is no event is set aside, and blocks nothing",
			"two messages of strangers are two dead letters, though they say the same",
			"what is no event is drained as it came, and is the same dead letter when it was replayed",
		}},

		{name: "what is no event ends the consumer", open: broker(func(whole *memory.Broker, b *porttest.Broker) {
			bad := make(chan struct{}, 100)
			b.Inject = func(ctx context.Context, body []byte) error {
				bad <- struct{}{}
				return whole.Inject(ctx, body)
			}
			b.Consumer = func() ports.EventConsumer {
				return consumerFunc(func(ctx context.Context, handle ports.Handler) error {
					if handle == nil {
						return whole.Consumer().Consume(ctx, nil)
					}
					ctx, cancel := context.WithCancel(ctx)
					defer cancel()
					failed := make(chan error, 1)
					go func() {
						select {
						case <-bad:
							failed <- fmt.Errorf("consume: no event")
							cancel()
						case <-ctx.Done():
							failed <- nil
						}
					}()
					err := whole.Consumer().Consume(ctx, handle)
					return errors.Join(err, <-failed)
				})
			}
		}), fails: []string{
			"what is replayed keeps every property of its message, whether it is an event or not",
			"what is no event is set aside, and blocks nothing",
			"two messages of strangers are two dead letters, though they say the same",
			"what is no event is drained as it came, and is the same dead letter when it was replayed",
		}},
	}
}

// recovering puts an error in the place of a handler's panic.
func recovering(instead error) func(context.Context, ports.Handler) ports.Handler {
	return func(_ context.Context, handle ports.Handler) ports.Handler {
		return func(ctx context.Context, d ports.Delivery) (err error) {
			defer func() {
				if recover() != nil {
					err = instead
				}
			}()
			return handle(ctx, d)
		}
	}
}
