package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// subscribing makes a broker whose subscriptions breakIt breaks.
func subscribing(breakIt func(b *faultyBroker, name string, s *subscription)) func() porttest.Events {
	return faultyEvents(func(b *faultyBroker) { breakSubscriptions(b, breakIt) })
}

func breakSubscriptions(b *faultyBroker, breakIt func(b *faultyBroker, name string, s *subscription)) {
	b.subscription = func(name string) *subscription {
		s := b.subscribed(name)
		breakIt(b, name, s)
		return s
	}
}

// renaming makes a broker whose subscriptions consume from another's queue.
func renamingQueues(rename func(name string, nth int64) string) func() porttest.Events {
	return faultyEvents(func(b *faultyBroker) {
		var nth atomic.Int64
		b.subscription = func(name string) *subscription { return b.subscribed(rename(name, nth.Add(1))) }
	})
}

// hearingOf makes the handlers of all queues get another error, once an error that is
// such has been returned for the event in any of the queues.
func hearingOf(such func(err error) bool, instead error) func() porttest.Events {
	return faultyEvents(func(b *faultyBroker) {
		var heard shared[domain.EventID, bool]
		hear := func(p *pulls[ports.Delivery]) {
			p.wrap(func(_ context.Context, h handle[ports.Delivery]) handle[ports.Delivery] {
				return func(ctx context.Context, d ports.Delivery) error {
					if known, _ := heard.get(d.Event.ID); known && d.Attempt == 1 {
						return instead
					}
					err := h(ctx, d)
					if such(err) {
						heard.set(d.Event.ID, true)
					}
					return err
				}
			})
		}
		hear(&b.consume)
		breakSubscriptions(b, func(_ *faultyBroker, _ string, s *subscription) { hear(&s.consume) })
	})
}

func brokenSubscriptions() []broken[porttest.Events] {
	const (
		each      = "each subscription gets each event once, and so does the main queue"
		since     = "a subscription gets the events from the time on at which a consumer has connected, and none from before"
		keeps     = "a subscription's queue keeps the events while nobody consumes from it"
		shares    = "consumers of one subscription share its events"
		disturbs  = "a subscription whose handler fails, rejects or postpones disturbs no other queue"
		main      = "a failing main queue disturbs no subscription"
		own       = "a failed event comes again to its own subscription, as often as to the main queue"
		slow      = "a subscription whose handlers take long holds up no other queue"
		every     = "every clause that subscribes"
		elsewhere = "other clauses compare the queues, too"
	)
	fails := func(err error) bool { return err != nil && !ports.IsPermanent(err) && !ports.IsPostponed(err) }
	return []broken[porttest.Events]{
		{"subscriptions share the main queue", each, every, renamingQueues(func(string, int64) string { return "" })},
		{"subscriptions share one queue", each, every, renamingQueues(func(string, int64) string { return "all" })},
		{"a subscription gets an event twice", each, every, subscribing(func(_ *faultyBroker, _ string, s *subscription) {
			s.consume.wrap(func(_ context.Context, h handle[ports.Delivery]) handle[ports.Delivery] {
				return func(ctx context.Context, d ports.Delivery) error { return errors.Join(h(ctx, d), h(ctx, d)) }
			})
		})},
		{"subscriptions get events from the start", since, "", faultyEvents(func(b *faultyBroker) {
			for _, name := range []string{"mail", "webhook", "nowhere"} {
				b.Subscription(name).Ping(context.Background())
			}
		})},
		{"a subscription's queue ends with its consumer", keeps, "other clauses consume again", subscribing(func(b *faultyBroker, name string, s *subscription) {
			var calls atomic.Int64
			next := func() string { return fmt.Sprintf("%s%p%d", name, s, calls.Load()) }
			s.consume.call = func(ctx context.Context, h handle[ports.Delivery]) error {
				defer calls.Add(1)
				return b.Subscription(next()).Consume(ctx, h)
			}
			s.ping = func(ctx context.Context) error { return b.Subscription(next()).Ping(ctx) }
		})},
		{"each consumer of a subscription gets all events", shares, "other clauses make two consumers of one", renamingQueues(func(name string, nth int64) string {
			return fmt.Sprint(name, nth)
		})},
		{"an event that fails in one queue comes again in all", disturbs, elsewhere, faultyEvents(func(b *faultyBroker) {
			again := func(d ports.Delivery, err error) error {
				if fails(err) && d.Attempt == 1 {
					time.AfterFunc(10*time.Millisecond, func() { b.Publisher().Publish(context.Background(), d.Event) })
					return nil
				}
				return err
			}
			b.consume.answer(again)
			breakSubscriptions(b, func(_ *faultyBroker, _ string, s *subscription) { s.consume.answer(again) })
		})},
		{"an event that the main queue rejects is lost in all", main, elsewhere, hearingOf(ports.IsPermanent, nil)},
		{"a failed event of a subscription is lost", own, elsewhere, subscribing(func(_ *faultyBroker, _ string, s *subscription) {
			s.consume.answer(func(_ ports.Delivery, err error) error {
				if fails(err) {
					return nil
				}
				return err
			})
		})},
		{"a failed event of a subscription has one attempt too few", own, elsewhere, subscribing(func(b *faultyBroker, _ string, s *subscription) {
			s.consume.answer(func(d ports.Delivery, err error) error {
				if fails(err) && d.Attempt == len(b.Delays) {
					return ports.Permanent(err)
				}
				return err
			})
		})},
		{"a slow subscription takes the slots of all", slow, "", faultyEvents(func(b *faultyBroker) {
			slots := make(chan struct{}, 512)
			taking := func(p *pulls[ports.Delivery]) {
				p.wrap(func(call context.Context, h handle[ports.Delivery]) handle[ports.Delivery] {
					return func(ctx context.Context, d ports.Delivery) error {
						select {
						case slots <- struct{}{}:
						case <-call.Done():
							return ports.Postpone(call.Err())
						}
						defer func() { <-slots }()
						return h(ctx, d)
					}
				})
			}
			taking(&b.consume)
			breakSubscriptions(b, func(_ *faultyBroker, _ string, s *subscription) { taking(&s.consume) })
		})},
	}
}
