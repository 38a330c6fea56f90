package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestBrokerClauses(t *testing.T) {
	table := slices.Concat(brokenPublishers(), brokenConsumers(), brokenFailures())
	checkSuite(t, porttest.BrokerClauses(), broker(func(*memory.Broker, *porttest.Broker) {}), table)
}

// broker makes a whole broker and lets breakIt break it.
func broker(breakIt func(whole *memory.Broker, b *porttest.Broker)) func() porttest.Broker {
	return func() porttest.Broker {
		const ms = time.Millisecond
		whole := &memory.Broker{Delays: []time.Duration{50 * ms, 100 * ms, 150 * ms}}
		b := porttest.Broker{
			Publisher: whole,
			Consumer:  func() ports.EventConsumer { return consumerFunc(whole.Consume) },
			Inject:    whole.Inject,
			DeadLetters: func(context.Context) ([]porttest.DeadLetter, error) {
				var list []porttest.DeadLetter
				for _, d := range whole.DeadLetters() {
					list = append(list, porttest.DeadLetter{EventID: d.EventID, Reason: d.Reason, Attempts: d.Attempts})
				}
				return list, nil
			},
			Attempts: len(whole.Delays) + 1,
		}
		breakIt(whole, &b)
		return b
	}
}

type publisherFunc func(ctx context.Context, events ...domain.Event) error

func (f publisherFunc) Publish(ctx context.Context, events ...domain.Event) error {
	return f(ctx, events...)
}

type consumerFunc func(ctx context.Context, handle ports.Handler) error

func (f consumerFunc) Consume(ctx context.Context, handle ports.Handler) error { return f(ctx, handle) }

// publishing makes a broker with another Publish.
func publishing(publish func(whole *memory.Broker) publisherFunc) func() porttest.Broker {
	return broker(func(whole *memory.Broker, b *porttest.Broker) { b.Publisher = publish(whole) })
}

// consuming makes a broker with another Consume.
func consuming(consume func(whole *memory.Broker) consumerFunc) func() porttest.Broker {
	return broker(func(whole *memory.Broker, b *porttest.Broker) {
		consumer := consume(whole)
		b.Consumer = func() ports.EventConsumer { return consumer }
	})
}

// handling makes a broker that puts something between itself and the handler;
// ctx is the one that was given to Consume.
func handling(between func(ctx context.Context, handle ports.Handler) ports.Handler) func() porttest.Broker {
	return consuming(func(whole *memory.Broker) consumerFunc {
		return func(ctx context.Context, handle ports.Handler) error {
			return whole.Consume(ctx, between(ctx, handle))
		}
	})
}

// settingAside makes a broker that tells something else of its dead letters.
func settingAside(change func(all []porttest.DeadLetter) []porttest.DeadLetter) func() porttest.Broker {
	return broker(func(_ *memory.Broker, b *porttest.Broker) {
		whole := b.DeadLetters
		b.DeadLetters = func(ctx context.Context) ([]porttest.DeadLetter, error) {
			all, err := whole(ctx)
			return change(all), err
		}
	})
}

func delaying(delays ...time.Duration) func() porttest.Broker {
	return broker(func(whole *memory.Broker, _ *porttest.Broker) { whole.Delays = delays })
}

func brokenPublishers() []broken[porttest.Broker] {
	return []broken[porttest.Broker]{
		{name: "Publish keeps only the first of a call", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) error {
				return whole.Publish(ctx, events[:min(1, len(events))]...)
			}
		}), fails: []string{
			"Publish keeps every event of a call",
		}, more: true},

		{name: "Publish keeps a hundred of a call at most", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) error {
				return whole.Publish(ctx, events[:min(100, len(events))]...)
			}
		}), fails: []string{
			"Publish keeps every event of a call",
		}},

		{name: "Publish of nothing fails", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) error {
				if len(events) == 0 {
					return errors.New("publish: no events")
				}
				return whole.Publish(ctx, events...)
			}
		}), fails: []string{
			"Publish of no events is no error",
		}},

		{name: "Publish loses what is published beside another call", open: publishing(func(whole *memory.Broker) publisherFunc {
			var busy sync.Mutex
			return func(ctx context.Context, events ...domain.Event) error {
				if !busy.TryLock() {
					return ctx.Err()
				}
				defer busy.Unlock()
				time.Sleep(time.Millisecond)
				return whole.Publish(ctx, events...)
			}
		}), fails: []string{
			"Publish may be called from several goroutines at once",
		}},

		{name: "Publish answers first and then sends, for as long as its context lives", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) error {
				events = slices.Clone(events)
				time.AfterFunc(10*time.Millisecond, func() { whole.Publish(ctx, events...) })
				return ctx.Err()
			}
		}), fails: []string{
			"Publish keeps the events although its context ends afterwards",
		}},

		{name: "Publish answers first and then sends what is in the slice", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) error {
				time.AfterFunc(10*time.Millisecond, func() { whole.Publish(context.WithoutCancel(ctx), events...) })
				return ctx.Err()
			}
		}), fails: []string{
			"Publish leaves the slice to the caller",
		}},

		{name: "Publish does not look at its context", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) error {
				return whole.Publish(context.WithoutCancel(ctx), events...)
			}
		}), fails: []string{
			"Publish with an ended context says so",
		}},

		{name: "events lose the space around a text", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) error {
				events = slices.Clone(events)
				for i := range events {
					events[i].Order.UserID = strings.TrimSpace(events[i].Order.UserID)
				}
				return whole.Publish(ctx, events...)
			}
		}), fails: []string{
			"what is published is handed over with every field as it was",
		}},

		{name: "events take their order's time", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) error {
				events = slices.Clone(events)
				for i := range events {
					events[i].Time = events[i].Order.CreatedAt
				}
				return whole.Publish(ctx, events...)
			}
		}), fails: []string{
			"what is published is handed over with every field as it was",
		}},

		{name: "nothing is kept while nobody consumes", open: broker(func(whole *memory.Broker, b *porttest.Broker) {
			var consumers atomic.Int32
			b.Publisher = publisherFunc(func(ctx context.Context, events ...domain.Event) error {
				time.Sleep(time.Millisecond)
				if consumers.Load() == 0 {
					return ctx.Err()
				}
				return whole.Publish(ctx, events...)
			})
			b.Consumer = func() ports.EventConsumer {
				return consumerFunc(func(ctx context.Context, handle ports.Handler) error {
					consumers.Add(1)
					defer consumers.Add(-1)
					return whole.Consume(ctx, handle)
				})
			}
		}), fails: []string{
			"what is published while nobody consumes is kept",
		}, more: true},
	}
}

func brokenConsumers() []broken[porttest.Broker] {
	return []broken[porttest.Broker]{
		{name: "Consume returns its context's error if that has ended before", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return whole.Consume(ctx, handle)
			}
		}), fails: []string{
			"Consume returns nil at once if its context has ended, and takes nothing",
		}},

		{name: "Consume returns its context's error", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				return errors.Join(whole.Consume(ctx, handle), ctx.Err())
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
				return whole.Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
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
					return whole.Consume(ctx, handle)
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
				return whole.Consume(ctx, handle)
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
				return whole.Consume(ctx, handle)
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
				return whole.Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
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
					workers.Go(func() { whole.Consume(ctx, handle) })
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
					whole.Consume(ctx, handle)
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
				return whole.Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
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
				err := whole.Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
					err := handle(ctx, d)
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						handled = append(handled, d.Event)
					}
					return err
				})
				return errors.Join(err, whole.Publish(context.WithoutCancel(ctx), handled...))
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
	return whole.Consume(late, handle)
}

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
				return whole.Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
					mu.Lock()
					attempts[d.Event.ID]++
					d.Attempt = attempts[d.Event.ID]
					mu.Unlock()
					return handle(ctx, d)
				})
			}
		}), fails: []string{
			"what is handled while Consume ends stays away",
		}},

		{name: "a failing event is waited for", open: consuming(func(whole *memory.Broker) consumerFunc {
			whole.Prefetch = 1
			return func(ctx context.Context, handle ports.Handler) error {
				return whole.Consume(ctx, func(hctx context.Context, d ports.Delivery) error {
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
				if err := handle(ctx, d); err != nil {
					return errors.New(err.Error())
				}
				return nil
			}
		}), fails: []string{
			"an event whose handler fails for good is set aside at once",
			"what is handled while Consume ends stays away",
		}},

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
		}},

		{name: "a panic gets out", open: consuming(func(whole *memory.Broker) consumerFunc {
			return func(ctx context.Context, handle ports.Handler) error {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				var panicked atomic.Value
				err := whole.Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
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
				return whole.Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
					err := handle(ctx, d)
					if ports.IsPermanent(err) || err != nil && d.Attempt > len(whole.Delays) {
						time.AfterFunc(100*ms, func() { whole.Publish(context.WithoutCancel(ctx), d.Event) })
					}
					return err
				})
			}
		}), fails: []string{
			"an event whose handler fails for good is set aside at once",
			"after the last attempt an event is set aside, with attempts and reason",
		}, more: true},

		{name: "dead letters are counted as one attempt", open: settingAside(func(all []porttest.DeadLetter) []porttest.DeadLetter {
			for i := range all {
				all[i].Attempts = 1
			}
			return all
		}), fails: []string{
			"after the last attempt an event is set aside, with attempts and reason",
			"an event whose handler fails for good is set aside at once",
		}},

		{name: "dead letters lose their reason", open: settingAside(func(all []porttest.DeadLetter) []porttest.DeadLetter {
			for i := range all {
				all[i].Reason = ""
			}
			return all
		}), fails: []string{
			"after the last attempt an event is set aside, with attempts and reason",
			"an event whose handler fails for good is set aside at once",
			"an event whose handler panics is set aside, and the consumer lives on",
			"what is no event is set aside, and blocks nothing",
		}},

		{name: "all dead letters have the same reason", open: settingAside(func(all []porttest.DeadLetter) []porttest.DeadLetter {
			for i := range all {
				all[i].Reason = "rejected"
			}
			return all
		}), fails: []string{
			"after the last attempt an event is set aside, with attempts and reason",
			"an event whose handler fails for good is set aside at once",
			"an event whose handler panics is set aside, and the consumer lives on",
		}},

		{name: "what is no event is lost", open: settingAside(func(all []porttest.DeadLetter) []porttest.DeadLetter {
			return slices.DeleteFunc(all, func(d porttest.DeadLetter) bool { return d.EventID == "" })
		}), fails: []string{
			"what is no event is set aside, and blocks nothing",
		}},

		{name: "what is no event ends the consumer", open: broker(func(whole *memory.Broker, b *porttest.Broker) {
			bad := make(chan struct{}, 100)
			b.Inject = func(ctx context.Context, body []byte) error {
				bad <- struct{}{}
				return whole.Inject(ctx, body)
			}
			b.Consumer = func() ports.EventConsumer {
				return consumerFunc(func(ctx context.Context, handle ports.Handler) error {
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
					err := whole.Consume(ctx, handle)
					return errors.Join(err, <-failed)
				})
			}
		}), fails: []string{
			"what is no event is set aside, and blocks nothing",
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
