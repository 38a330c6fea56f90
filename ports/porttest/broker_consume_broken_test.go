package porttest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func brokenConsumers() []broken[porttest.Broker] {
	return []broken[porttest.Broker]{
		{name: "Consume returns its context's error if that has ended before", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return whole.Consumer().Consume(ctx, handle)
			}
		}), fails: []string{
			"Consume returns nil at once if its context has ended, and takes nothing",
		}},

		{name: "Consume waits without a handler", open: broker(func(whole *memory.Broker, b *porttest.Broker) {
			b.Consumer = func() ports.EventConsumer {
				return consumerFunc(func(ctx context.Context, handle ports.Handler) error {
					return whole.Consumer().Consume(ctx, func(ctx context.Context, d ports.Delivery) error { return handle(ctx, d) })
				})
			}
		}), fails: []string{
			"Consume without a handler is an error at once",
		}},

		{name: "Consume returns its context's error", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				return errors.Join(whole.Consumer().Consume(ctx, handle), ctx.Err())
			}
		}), fails: []string{
			"Consume returns nil at once if its context has ended, and takes nothing",
			"Consume waits for events as long as its context lives, and then returns nil",
		}, more: true},

		{name: "Consume gives up when no event comes", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				idle := time.AfterFunc(200*time.Millisecond, cancel)
				return whole.Consumer().Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
					idle.Stop()
					return handle(ctx, d)
				})
			}
		}), fails: []string{
			"Consume waits for events as long as its context lives, and then returns nil",
		}, more: true},

		{name: "a consumer can be used once", open: broker(func(whole *memory.Broker, b *porttest.Broker) {
			b.Consumer = func() ports.EventConsumer {
				var used atomic.Bool
				return consumerFunc(func(ctx context.Context, handle ports.Handler) error {
					if used.Swap(true) {
						return errors.New("consume: stopped")
					}
					return whole.Consumer().Consume(ctx, handle)
				})
			}
		}), fails: []string{
			"a consumer that was stopped can consume again",
			"two calls of Consume on one consumer share the events between them",
		}},

		{name: "a queue has one consumer", open: consuming(func(whole *memory.Broker) consumerFunc {
			var busy sync.Mutex
			return func(ctx context.Context, handle ports.Handler) error {
				if !busy.TryLock() {
					return errors.New("consume: the queue is taken")
				}
				defer busy.Unlock()
				return whole.Consumer().Consume(ctx, handle)
			}
		}), fails: []string{
			"consumers share the events between them",
			"two calls of Consume on one consumer share the events between them",
		}},

		{name: "one consumer takes everything in hand", open: consuming(func(whole *memory.Broker) consumerFunc {
			whole.Prefetch = 1_000_000
			var busy sync.Mutex
			return func(ctx context.Context, handle ports.Handler) error {
				if !busy.TryLock() {
					<-ctx.Done()
					return nil
				}
				defer busy.Unlock()
				return whole.Consumer().Consume(ctx, handle)
			}
		}), fails: []string{
			"consumers share the events between them",
			"two calls of Consume on one consumer share the events between them",
		}},

		{name: "each consumer gets every event", open: consuming(func(whole *memory.Broker) consumerFunc {
			var mu sync.Mutex
			var handlers []ports.Handler
			return func(ctx context.Context, handle ports.Handler) error {
				mu.Lock()
				handlers = append(handlers, handle)
				mu.Unlock()
				return whole.Consumer().Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
					mu.Lock()
					all := slices.Clone(handlers)
					mu.Unlock()
					var err error
					for _, h := range all {
						err = errors.Join(err, h(ctx, d))
					}
					return err
				})
			}
		}), fails: []string{
			"consumers share the events between them",
			"two calls of Consume on one consumer share the events between them",
		}, more: true},

		{name: "one event at a time", open: broker(func(whole *memory.Broker, _ *porttest.Broker) { whole.Prefetch = 1 }), fails: []string{
			"Consume hands over several events at once",
			"Consume waits for the handlers in hand",
			"what is handled while Consume ends stays away",
		}},

		{name: "events of one order at once", open: consuming(func(whole *memory.Broker) consumerFunc {
			whole.Prefetch = 1
			return func(ctx context.Context, handle ports.Handler) error { // workers that know nothing of each other
				var workers sync.WaitGroup
				for range 20 {
					workers.Go(func() { whole.Consumer().Consume(ctx, handle) })
				}
				workers.Wait()
				return nil
			}
		}), fails: []string{
			"Consume never hands over two events of one order at once",
			"Consume hands over nothing once its context has ended, and the next gets it",
		}},

		{name: "a handler's context has no bound", open: handling(func(_ context.Context, handle ports.Handler) ports.Handler {
			return func(ctx context.Context, d ports.Delivery) error {
				return handle(context.WithoutCancel(ctx), d)
			}
		}), fails: []string{
			"a handler's context has a bound",
		}},

		{name: "a handler's context ends with Consume's", open: handling(func(consume context.Context, handle ports.Handler) ports.Handler {
			return func(ctx context.Context, d ports.Delivery) error {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				defer context.AfterFunc(consume, cancel)()
				return handle(ctx, d)
			}
		}), fails: []string{
			"a handler's context lives on when Consume's has ended",
		}},

		{name: "Consume returns before its handlers", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				done := make(chan struct{})
				go func() {
					defer close(done)
					whole.Consumer().Consume(ctx, handle)
				}()
				select {
				case <-done:
				case <-ctx.Done():
				}
				return nil
			}
		}), fails: []string{
			"Consume waits for the handlers in hand",
		}},

		{name: "Consume acknowledges before it handles", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				return whole.Consumer().Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
					go recovering(nil)(ctx, handle)(context.WithoutCancel(ctx), d)
					return nil
				})
			}
		}), fails: []string{
			"Consume never hands over two events of one order at once",
			"Consume waits for the handlers in hand",
			"an event whose handler fails comes again until it is handled, and counts its attempts",
		}, more: true},

		{name: "Consume goes on for a while when its context has ended", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error { return lingering(ctx, whole, handle) }
		}), fails: []string{
			"Consume returns nil at once if its context has ended, and takes nothing",
			"Consume hands over nothing once its context has ended, and the next gets it",
		}},

		{name: "what was fetched when the context ended is lost", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				return lingering(ctx, whole, func(hctx context.Context, d ports.Delivery) error {
					if ctx.Err() != nil {
						return nil
					}
					return handle(hctx, d)
				})
			}
		}), fails: []string{
			"Consume returns nil at once if its context has ended, and takes nothing",
			"Consume hands over nothing once its context has ended, and the next gets it",
		}},

		{name: "what was fetched when the context ended counts as failed", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				return lingering(ctx, whole, func(hctx context.Context, d ports.Delivery) error {
					if ctx.Err() != nil {
						return errors.New("stopping")
					}
					return handle(hctx, d)
				})
			}
		}), fails: []string{
			"Consume returns nil at once if its context has ended, and takes nothing",
			"Consume hands over nothing once its context has ended, and the next gets it",
		}},

		{name: "what the last handlers return is lost", open: handling(func(consume context.Context, handle ports.Handler) ports.Handler {
			return func(ctx context.Context, d ports.Delivery) error {
				err := handle(ctx, d)
				if consume.Err() != nil {
					return nil
				}
				return err
			}
		}), fails: []string{
			"what is handled while Consume ends stays away",
		}},

		{name: "acknowledgements are lost when a consumer stops", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				var mu sync.Mutex
				var handled []domain.Event
				err := whole.Consumer().Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
					err := handle(ctx, d)
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						handled = append(handled, d.Event)
					}
					return err
				})
				return errors.Join(err, joined(whole.Publisher().Publish(context.WithoutCancel(ctx), handled...)))
			}
		}), fails: []string{
			"what is handled stays away, also when another consumer asks",
			"what is handled while Consume ends stays away",
		}, more: true},
	}
}

// lingering consumes for a while longer than it should.
func lingering(ctx context.Context, whole *memory.Broker, handle ports.Handler) error {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(20*time.Millisecond, cancel) })()
	return whole.Consumer().Consume(late, handle)
}
