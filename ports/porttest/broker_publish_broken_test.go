package porttest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	table := slices.Concat(brokenPublishers(), brokenConsumers(), brokenFailures(), brokenDrains(), brokenReplays())
	checkSuite(t, porttest.BrokerClauses(), broker(func(*memory.Broker, *porttest.Broker) {}), table)
}

// broker makes a whole broker and lets breakIt break it.
func broker(breakIt func(whole *memory.Broker, b *porttest.Broker)) func() porttest.Broker {
	return func() porttest.Broker {
		const ms = time.Millisecond
		whole := &memory.Broker{Delays: []time.Duration{50 * ms, 100 * ms, 150 * ms}, Logger: slog.New(slog.DiscardHandler)}
		b := porttest.Broker{
			Publisher:   whole.Publisher(),
			Consumer:    func() ports.EventConsumer { return consumerFunc(whole.Consumer().Consume) },
			Inject:      whole.Inject,
			DeadLetters: func() ports.DeadLetterQueue { return whole.DeadLetterQueue() },
			Attempts:    len(whole.Delays) + 1,
		}
		breakIt(whole, &b)
		return b
	}
}

type publisherFunc func(ctx context.Context, events ...domain.Event) []error

func (f publisherFunc) Publish(ctx context.Context, events ...domain.Event) []error {
	return f(ctx, events...)
}

// forAll returns the same error for each event.
func forAll(err error, events []domain.Event) []error {
	return slices.Repeat([]error{err}, len(events))
}

func joined(errs []error) error { return errors.Join(errs...) }

type consumerFunc func(ctx context.Context, handle ports.Handler) error

func (f consumerFunc) Consume(ctx context.Context, handle ports.Handler) error { return f(ctx, handle) }

// publishing makes a broker with another Publish.
func publishing(publish func(whole *memory.Broker) publisherFunc) func() porttest.Broker {
	return broker(func(whole *memory.Broker, b *porttest.Broker) { b.Publisher = publish(whole) })
}

// consuming makes a broker with another Consume.
func consuming(consume func(whole *memory.Broker) consumerFunc) func() porttest.Broker {
	return broker(func(whole *memory.Broker, b *porttest.Broker) {
		broken := consume(whole)
		consumer := consumerFunc(func(ctx context.Context, handle ports.Handler) error {
			if handle == nil {
				return whole.Consumer().Consume(ctx, nil)
			}
			return broken(ctx, handle)
		})
		b.Consumer = func() ports.EventConsumer { return consumer }
	})
}

// handling makes a broker that puts something between itself and the handler;
// ctx is the one that was given to Consume.
func handling(between func(ctx context.Context, handle ports.Handler) ports.Handler) func() porttest.Broker {
	return consuming(func(whole *memory.Broker) consumerFunc {
		return func(ctx context.Context, handle ports.Handler) error {
			return whole.Consumer().Consume(ctx, between(ctx, handle))
		}
	})
}

func delaying(delays ...time.Duration) func() porttest.Broker {
	return broker(func(whole *memory.Broker, _ *porttest.Broker) { whole.Delays = delays })
}

func brokenPublishers() []broken[porttest.Broker] {
	return []broken[porttest.Broker]{
		{name: "Publish keeps only the first of a call", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) []error {
				kept := whole.Publisher().Publish(ctx, events[:min(1, len(events))]...)
				return append(kept, forAll(ctx.Err(), events[len(kept):])...)
			}
		}), fails: []string{
			"Publish keeps every event of a call",
		}, more: true},

		{name: "Publish keeps a hundred of a call at most", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) []error {
				kept := whole.Publisher().Publish(ctx, events[:min(100, len(events))]...)
				return append(kept, forAll(ctx.Err(), events[len(kept):])...)
			}
		}), fails: []string{
			"Publish keeps every event of a call",
		}, more: true},

		{name: "Publish of nothing fails", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) []error {
				if len(events) == 0 {
					return []error{errors.New("publish: no events")}
				}
				return whole.Publisher().Publish(ctx, events...)
			}
		}), fails: []string{
			"Publish of no events is no error",
		}},

		{name: "Publish loses what is published beside another call", open: publishing(func(whole *memory.Broker) publisherFunc {
			var busy sync.Mutex
			return func(ctx context.Context, events ...domain.Event) []error {
				if !busy.TryLock() {
					return forAll(ctx.Err(), events)
				}
				defer busy.Unlock()
				time.Sleep(time.Millisecond)
				return whole.Publisher().Publish(ctx, events...)
			}
		}), fails: []string{
			"Publish may be called from several goroutines at once",
		}},

		{name: "Publish answers first and then sends, for as long as its context lives", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) []error {
				events = slices.Clone(events)
				time.AfterFunc(10*time.Millisecond, func() { joined(whole.Publisher().Publish(ctx, events...)) })
				return forAll(ctx.Err(), events)
			}
		}), fails: []string{
			"Publish keeps the events although its context ends afterwards",
			"Publish refuses an event that consumers could not read, by name, and publishes the others of the call",
		}},

		{name: "Publish keeps the slice until somebody consumes", open: broker(func(whole *memory.Broker, b *porttest.Broker) {
			var mu sync.Mutex
			var kept []domain.Event
			consuming := false
			b.Publisher = publisherFunc(func(ctx context.Context, events ...domain.Event) []error {
				mu.Lock()
				defer mu.Unlock()
				if consuming || len(kept) > 0 || ctx.Err() != nil {
					return whole.Publisher().Publish(ctx, events...)
				}
				kept = events
				return forAll(nil, events)
			})
			b.Consumer = func() ports.EventConsumer {
				return consumerFunc(func(ctx context.Context, handle ports.Handler) error {
					mu.Lock()
					consuming = true
					err := joined(whole.Publisher().Publish(context.WithoutCancel(ctx), kept...))
					kept = nil
					mu.Unlock()
					return errors.Join(err, whole.Consumer().Consume(ctx, handle))
				})
			}
		}), fails: []string{
			"Publish leaves the slice to the caller",
			"Publish refuses an event that consumers could not read, by name, and publishes the others of the call",
		}},

		{name: "Publish does not look at its context", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) []error {
				return whole.Publisher().Publish(context.WithoutCancel(ctx), events...)
			}
		}), fails: []string{
			"Publish with an ended context says so",
		}},

		{name: "events lose the space around a text", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) []error {
				events = slices.Clone(events)
				for i := range events {
					events[i].Order.UserID = strings.TrimSpace(events[i].Order.UserID)
				}
				return whole.Publisher().Publish(ctx, events...)
			}
		}), fails: []string{
			"what is published is handed over with every field as it was",
			"what is replayed is handed over at the first attempt, with every field as it was, and no dead letter any more",
		}},

		{name: "events take their order's time", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) []error {
				events = slices.Clone(events)
				for i := range events {
					events[i].Time = events[i].Order.CreatedAt
				}
				return whole.Publisher().Publish(ctx, events...)
			}
		}), fails: []string{
			"Consume hands over nothing once its context has ended, and the next gets it",
			"Consume never hands over two events of one order at once",
			"what is published is handed over with every field as it was",
			"what is replayed is handed over at the first attempt, with every field as it was, and no dead letter any more",
			"Publish refuses an event that consumers could not read, by name, and publishes the others of the call",
		}},

		{name: "nothing is kept while nobody consumes", open: broker(func(whole *memory.Broker, b *porttest.Broker) {
			var consumers atomic.Int32
			b.Publisher = publisherFunc(func(ctx context.Context, events ...domain.Event) []error {
				time.Sleep(time.Millisecond)
				if consumers.Load() == 0 {
					return forAll(ctx.Err(), events)
				}
				return whole.Publisher().Publish(ctx, events...)
			})
			b.Consumer = func() ports.EventConsumer {
				return consumerFunc(func(ctx context.Context, handle ports.Handler) error {
					consumers.Add(1)
					defer consumers.Add(-1)
					return whole.Consumer().Consume(ctx, handle)
				})
			}
		}), fails: []string{
			"what is published while nobody consumes is kept",
		}, more: true},

		{name: "Publish takes events of every type", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) []error {
				events = slices.Clone(events)
				for i := range events {
					events[i].Type = domain.OrderCreated
				}
				return whole.Publisher().Publish(ctx, events...)
			}
		}), fails: []string{
			"Publish refuses an event that consumers could not read, by name, and publishes the others of the call",
		}},

		{name: "Publish names the first event of a call for another", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) []error {
				errs := whole.Publisher().Publish(ctx, events...)
				for i := range errs {
					if errs[i] != nil {
						errs[i] = cmp.Or(ctx.Err(), fmt.Errorf("publish event %s of type %s", events[0].ID, events[0].Type))
					}
				}
				return errs
			}
		}), fails: []string{
			"Publish refuses an event that consumers could not read, by name, and publishes the others of the call",
		}},

		{name: "Publish leaves out, without an error, what comes after an event that it refuses", open: publishing(func(whole *memory.Broker) publisherFunc {
			return func(ctx context.Context, events ...domain.Event) []error {
				errs := forAll(ctx.Err(), events)
				for i, event := range events {
					if errs[i] = whole.Publisher().Publish(ctx, event)[0]; errs[i] != nil {
						break
					}
				}
				return errs
			}
		}), fails: []string{
			"Publish refuses an event that consumers could not read, by name, and publishes the others of the call",
		}},
	}
}
