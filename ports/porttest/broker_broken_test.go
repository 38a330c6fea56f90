package porttest_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestEventClauses(t *testing.T) {
	table := slices.Concat(brokenPublishers(), brokenConsumers(), brokenRetries(), brokenSubscriptions(), brokenDepths())
	checkSuite(t, porttest.EventClauses(), faultyEvents(func(*faultyBroker) {}), table)
}

func TestDeadLetterQueueClauses(t *testing.T) {
	table := slices.Concat(brokenSetAsides(), brokenDrains(), brokenReplays(), brokenLettersOfSubscriptions(), brokenSetAsideCalls(), brokenLetterDepths())
	checkSuite(t, porttest.DeadLetterQueueClauses(), faultyQueue(func(*faultyBroker) {}), table)
}

// handle is what Consume and Drain call for each item.
type handle[T any] = func(ctx context.Context, item T) error

type pull[T any] = func(ctx context.Context, h handle[T]) error

// pulls is Consume or Drain.
type pulls[T any] struct {
	call          pull[T]
	withoutHandle func(ctx context.Context) error
}

func (p *pulls[T]) pull(ctx context.Context, h handle[T]) error {
	if h == nil {
		return p.withoutHandle(ctx)
	}
	return p.call(ctx, h)
}

// wrap calls between for each handler, with the context of the call.
func (p *pulls[T]) wrap(between func(call context.Context, h handle[T]) handle[T]) {
	whole := p.call
	p.call = func(ctx context.Context, h handle[T]) error { return whole(ctx, between(ctx, h)) }
}

// change makes the call hand over changed items.
func (p *pulls[T]) change(change func(item *T)) {
	p.wrap(func(_ context.Context, h handle[T]) handle[T] {
		return func(ctx context.Context, item T) error {
			change(&item)
			return h(ctx, item)
		}
	})
}

// answer makes the handler return another error.
func (p *pulls[T]) answer(change func(item T, err error) error) {
	p.wrap(func(_ context.Context, h handle[T]) handle[T] {
		return func(ctx context.Context, item T) error { return change(item, h(ctx, item)) }
	})
}

// recovering returns an error instead of the handler's panic.
func (p *pulls[T]) recovering(instead error) {
	p.wrap(func(_ context.Context, h handle[T]) handle[T] {
		return func(ctx context.Context, item T) (err error) {
			defer func() {
				if recover() != nil {
					err = instead
				}
			}()
			return h(ctx, item)
		}
	})
}

// panicking lets the handler's panic out of the call.
func (p *pulls[T]) panicking() {
	whole := p.call
	p.call = func(ctx context.Context, h handle[T]) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var panicked atomic.Value
		err := whole(ctx, func(ctx context.Context, item T) error {
			defer func() {
				if p := recover(); p != nil {
					panicked.Store(p)
					cancel()
				}
			}()
			return h(ctx, item)
		})
		if p := panicked.Load(); p != nil {
			panic(p)
		}
		return err
	}
}

// lingering makes the call continue for a while after its context has ended.
func (p *pulls[T]) lingering() {
	whole := p.call
	p.call = func(ctx context.Context, h handle[T]) error {
		late, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(ctx, func() { time.AfterFunc(20*time.Millisecond, cancel) })()
		return whole(late, h)
	}
}

// unheard makes the call continue for a while after its context has ended. It
// returns answer instead of calling the handler.
func (p *pulls[T]) unheard(answer error) {
	whole := *p
	whole.lingering()
	p.call = func(ctx context.Context, h handle[T]) error {
		return whole.call(ctx, func(hctx context.Context, item T) error {
			if ctx.Err() != nil {
				return answer
			}
			return h(hctx, item)
		})
	}
}

// faultyBroker is a memory broker with functions instead of methods. A
// row replaces one of them, and calls the broker's own method through the
// embedded broker.
type faultyBroker struct {
	*memory.Broker
	publish func(ctx context.Context, events ...domain.Event) []error
	inject  func(ctx context.Context, body []byte) error
	consume pulls[ports.Delivery]
	drain   pulls[ports.DeadLetter]
	replay  func(ctx context.Context, letter ports.DeadLetter) error
	aside   func(ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error
	depth   func(ctx context.Context) (ports.QueueDepth, error) // of the dead letters

	subscription func(name string) *subscription
}

// subscription is a consumer of a subscription's queue, with functions instead of
// methods.
type subscription struct {
	consume pulls[ports.Delivery]
	ping    func(ctx context.Context) error
	depth   func(ctx context.Context) (ports.QueueDepth, error)
}

func (s *subscription) Consume(ctx context.Context, h ports.Handler) error {
	return s.consume.pull(ctx, h)
}
func (s *subscription) Ping(ctx context.Context) error { return s.ping(ctx) }
func (s *subscription) Depth(ctx context.Context) (ports.QueueDepth, error) {
	return s.depth(ctx)
}

// subscribed returns the broker's own consumer of the subscription.
func (b *faultyBroker) subscribed(name string) *subscription {
	whole := b.Subscription(name)
	return &subscription{
		consume: pulls[ports.Delivery]{
			func(ctx context.Context, h handle[ports.Delivery]) error { return whole.Consume(ctx, h) },
			func(ctx context.Context) error { return whole.Consume(ctx, nil) },
		},
		ping: whole.Ping, depth: whole.Depth,
	}
}

type publisher func(ctx context.Context, events ...domain.Event) []error

func (f publisher) Publish(ctx context.Context, events ...domain.Event) []error {
	return f(ctx, events...)
}

type consumer func(ctx context.Context, h handle[ports.Delivery]) error

func (f consumer) Consume(ctx context.Context, h ports.Handler) error { return f(ctx, h) }

type queue struct{ *faultyBroker }

func (q queue) Drain(ctx context.Context, h func(context.Context, ports.DeadLetter) error) error {
	return q.drain.pull(ctx, h)
}

func (q queue) Replay(ctx context.Context, letter ports.DeadLetter) error {
	return q.replay(ctx, letter)
}

func (q queue) Depth(ctx context.Context) (ports.QueueDepth, error) { return q.depth(ctx) }

func (q queue) SetAside(ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
	return q.aside(ctx, subscription, event, failure)
}

// faultyQueue makes a broker that breakIt breaks.
func faultyQueue(breakIt func(b *faultyBroker)) func() porttest.DeadLetterQueue {
	return func() porttest.DeadLetterQueue {
		const ms = time.Millisecond
		whole := &memory.Broker{Delays: []time.Duration{50 * ms, 100 * ms, 150 * ms}, Logger: slog.New(slog.DiscardHandler)}
		attempts := len(whole.Delays) + 1
		b := &faultyBroker{
			Broker: whole, publish: whole.Publisher().Publish, inject: whole.Inject,
			replay: whole.DeadLetterQueue().Replay, aside: whole.DeadLetterQueue().SetAside,
			depth: whole.DeadLetterQueue().Depth,
		}
		b.subscription = b.subscribed
		b.consume.call = func(ctx context.Context, h handle[ports.Delivery]) error { return whole.Consumer().Consume(ctx, h) }
		b.consume.withoutHandle = func(ctx context.Context) error { return whole.Consumer().Consume(ctx, nil) }
		b.drain = pulls[ports.DeadLetter]{whole.DeadLetterQueue().Drain, func(ctx context.Context) error { return whole.DeadLetterQueue().Drain(ctx, nil) }}
		breakIt(b)
		return porttest.DeadLetterQueue{
			Events: porttest.Events{
				Publisher:    publisher(b.publish),
				Consumer:     func() ports.EventConsumer { return consumer(b.consume.pull) },
				Subscription: func(name string) ports.EventQueue { return b.subscription(name) },
				Inject:       b.inject,
				Attempts:     attempts,
			},
			Queue: func() ports.DeadLetterQueue { return queue{b} },
		}
	}
}

func faultyEvents(breakIt func(b *faultyBroker)) func() porttest.Events {
	return func() porttest.Events { return faultyQueue(breakIt)().Events }
}

// brokenPulls returns the faults that both Consume and Drain can have.
func brokenPulls[A, T any](method, items string, faulty func(breakIt func(p *pulls[T])) func() A) []broken[A] {
	var (
		ended   = method + " returns nil at once if its context has ended, and takes nothing"
		waits   = method + " waits until its context ends, and then returns nil"
		several = method + " hands over several " + items + " at once"
		shares  = "several calls of " + method + " share the " + items
		running = method + " waits for its running handlers before it returns"
		nothing = "Consume delivers nothing after its context has ended, and leaves the rest to the next consumer"
		twice   = "another clause makes two calls"
		pauses  = ""
	)
	if method == "Drain" {
		nothing = "Drain hands over nothing after its context has ended, and leaves the rest to the next drain"
		twice = ""
		pauses = "other clauses set events aside meanwhile"
	}
	// calling replaces the call, and passes the original one.
	calling := func(call func(ctx context.Context, h handle[T], whole pull[T]) error) func() A {
		return faulty(func(p *pulls[T]) {
			whole := p.call
			p.call = func(ctx context.Context, h handle[T]) error { return call(ctx, h, whole) }
		})
	}
	return []broken[A]{
		{method + " returns its context's error if that has ended before", ended, "", calling(func(ctx context.Context, h handle[T], whole pull[T]) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return whole(ctx, h)
		})},

		{method + " waits without a handler", method + " without a handler returns an error at once", "", faulty(func(p *pulls[T]) {
			p.withoutHandle = func(ctx context.Context) error {
				<-ctx.Done()
				return nil
			}
		})},

		{method + " returns its context's error", waits, "every clause that ends a call", calling(func(ctx context.Context, h handle[T], whole pull[T]) error {
			return errors.Join(whole(ctx, h), ctx.Err())
		})},

		{method + " gives up when nothing comes", waits, pauses, faulty(func(p *pulls[T]) {
			whole := p.call
			var came atomic.Bool // to any of the calls
			p.call = func(ctx context.Context, h handle[T]) error {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				idle := time.AfterFunc(200*time.Millisecond, func() {
					if !came.Load() {
						cancel()
					}
				})
				defer idle.Stop()
				return whole(ctx, func(ctx context.Context, item T) error {
					came.Store(true)
					return h(ctx, item)
				})
			}
		})},

		{method + " hands over one of the " + items + " at a time", several, "other clauses hold several", faulty(func(p *pulls[T]) {
			turn := make(chan struct{}, 1)
			p.wrap(func(call context.Context, h handle[T]) handle[T] {
				return func(ctx context.Context, item T) error {
					select {
					case turn <- struct{}{}:
					case <-call.Done():
						return ports.Postpone(call.Err())
					}
					defer func() { <-turn }()
					return h(ctx, item)
				}
			})
		})},

		{method + " refuses a second call", shares, twice, faulty(func(p *pulls[T]) {
			var busy sync.Mutex
			whole := p.call
			p.call = func(ctx context.Context, h handle[T]) error {
				if !busy.TryLock() {
					return errors.New("the queue is taken")
				}
				defer busy.Unlock()
				return whole(ctx, h)
			}
		})},
		{"each call of " + method + " gets all " + items, shares, twice, faulty(func(p *pulls[T]) {
			var mu sync.Mutex
			var all []handle[T]
			p.wrap(func(_ context.Context, h handle[T]) handle[T] {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, h)
				return func(ctx context.Context, item T) (err error) {
					mu.Lock()
					handles := slices.Clone(all)
					mu.Unlock()
					for _, h := range handles {
						err = errors.Join(err, h(ctx, item))
					}
					return err
				}
			})
		})},
		{"the context of " + method + "'s handler has no deadline", method + " gives its handler a context with a deadline", "", faulty(func(p *pulls[T]) {
			p.wrap(func(_ context.Context, h handle[T]) handle[T] {
				return func(ctx context.Context, item T) error { return h(context.WithoutCancel(ctx), item) }
			})
		})},
		{"the context of " + method + "'s handler ends with the call's", method + " keeps its handler's context alive when its own ends", "", faulty(func(p *pulls[T]) {
			p.wrap(func(call context.Context, h handle[T]) handle[T] {
				return func(ctx context.Context, item T) error {
					ctx, cancel := context.WithCancel(ctx)
					defer cancel()
					defer context.AfterFunc(call, cancel)()
					return h(ctx, item)
				}
			})
		})},

		{method + " returns before its handlers", running, "", calling(func(ctx context.Context, h handle[T], whole pull[T]) error {
			done := make(chan struct{})
			go func() {
				defer close(done)
				whole(ctx, h)
			}()
			select {
			case <-done:
			case <-ctx.Done():
			}
			return nil
		})},

		{method + " accepts what it hands over before it is handled", running, "the results of handlers are lost", faulty(func(p *pulls[T]) {
			p.wrap(func(_ context.Context, h handle[T]) handle[T] {
				return func(ctx context.Context, item T) error {
					go func() {
						defer func() { recover() }()
						h(context.WithoutCancel(ctx), item)
					}()
					return nil
				}
			})
		})},
		{"the results of " + method + "'s last handlers are lost", method + " uses the results of its last handlers", "", faulty(func(p *pulls[T]) {
			p.wrap(func(call context.Context, h handle[T]) handle[T] {
				return func(ctx context.Context, item T) error {
					err := h(ctx, item)
					if call.Err() != nil {
						return nil
					}
					return err
				}
			})
		})},

		{method + " goes on for a while when its context has ended", nothing, "the clause of an ended context finds it too", faulty((*pulls[T]).lingering)},

		{method + " loses what it has fetched when its context ends", nothing, "the clause of an ended context finds it too", faulty(func(p *pulls[T]) { p.unheard(nil) })},
		{"items that " + method + "'s handlers accepted come again at the next call", method + " never hands over accepted " + items + " again", "other clauses make a second call", faulty(func(p *pulls[T]) {
			var mu sync.Mutex
			var accepted []T
			whole := p.call
			p.call = func(ctx context.Context, h handle[T]) error {
				mu.Lock()
				again := accepted
				accepted = nil
				mu.Unlock()
				for _, item := range again {
					h(ctx, item)
				}
				return whole(ctx, func(ctx context.Context, item T) error {
					err := h(ctx, item)
					if err == nil {
						mu.Lock()
						defer mu.Unlock()
						accepted = append(accepted, item)
					}
					return err
				})
			}
		})},
	}
}
