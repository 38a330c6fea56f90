package porttest_test

import (
	"context"
	"errors"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// verdict makes a broker that gets another error than the handler's.
func verdict(change func(d ports.Delivery, err error) error) func() porttest.Events {
	return consuming(func(p *pulls[ports.Delivery]) { p.answer(change) })
}

// delaying makes a broker with other delays.
func delaying(delays ...time.Duration) func() porttest.Events {
	for i := range delays {
		delays[i] *= time.Millisecond
	}
	return faultyEvents(func(b *faultyBroker) { b.Delays = delays })
}

func brokenRetries() []broken[porttest.Events] {
	const (
		again     = "an event whose handler fails comes again until it is handled, with its attempts counted"
		grows     = "the delay before an event comes again grows with each attempt"
		others    = "a failing event does not hold up the events of other orders"
		last      = "an event whose handler always fails does not come again after its last attempt"
		rejected  = "an event that its handler rejects does not come again"
		postponed = "a postponed event comes again as the same attempt, each time"
		panics    = "an event whose handler panics does not come again, and the consumer continues"
		strange   = "a message that is not an event is not delivered, and blocks nothing"
		failing   = "other clauses wait for a failing event"
		numbers   = "other clauses look at the attempts"
	)
	return []broken[porttest.Events]{
		{"a failed event is lost", again, failing, verdict(func(_ ports.Delivery, err error) error {
			if ports.IsPermanent(err) || ports.IsPostponed(err) {
				return err
			}
			return nil
		})},
		{"a failed event comes again at once", grows, "it comes before the events of other orders", delaying(0, 0, 0)},

		{"a failed event comes again after the same delay", grows, "", delaying(50, 50, 50)},
		{"the delay grows once", grows, "", delaying(50, 100, 100)},

		{"a failing event has one attempt too few", last, "the clause of the delays waits for it", delaying(50, 100)},
		{"a failing event has one attempt too many", last, "so it has in a subscription's queue", delaying(50, 100, 150, 200)},

		{"attempts count from 0", again, numbers, consuming(func(p *pulls[ports.Delivery]) {
			p.change(func(d *ports.Delivery) { d.Attempt-- })
		})},
		{"each consumer counts the attempts", "Consume uses the results of its last handlers", numbers, consuming(func(p *pulls[ports.Delivery]) {
			p.wrap(func(_ context.Context, h handle[ports.Delivery]) handle[ports.Delivery] {
				var attempts shared[domain.EventID, int]
				return func(ctx context.Context, d ports.Delivery) error {
					attempts.do(func(n map[domain.EventID]int) {
						n[d.Event.ID]++
						d.Attempt = n[d.Event.ID]
					})
					return h(ctx, d)
				}
			})
		})},
		{"other events wait for a failing one", others, "other events wait too", faultyEvents(func(b *faultyBroker) {
			b.Prefetch = 1
			b.consume.wrap(func(call context.Context, h handle[ports.Delivery]) handle[ports.Delivery] {
				return func(ctx context.Context, d ports.Delivery) error {
					for {
						err := h(ctx, d)
						if err == nil || ports.IsPermanent(err) || d.Attempt > len(b.Delays) || call.Err() != nil {
							return err
						}
						time.Sleep(b.Delays[d.Attempt-1])
						d.Attempt++
					}
				}
			})
		})},
		{"a rejected event comes again", rejected, "the next consumer gets a rejected event", verdict(func(_ ports.Delivery, err error) error {
			if ports.IsPermanent(err) {
				return errors.New("not permanent")
			}
			return err
		})},
		{"an event is rejected by the outermost error alone", rejected, "", verdict(func(_ ports.Delivery, err error) error {
			if ports.IsPermanent(errors.Unwrap(err)) {
				return errors.New(err.Error())
			}
			return err
		})},
		{"a postponed event has failed", postponed, "", verdict(func(_ ports.Delivery, err error) error {
			if ports.IsPostponed(err) {
				return errors.New("postponed")
			}
			return err
		})},
		{"a postponed event is lost", postponed, "", verdict(func(_ ports.Delivery, err error) error {
			if ports.IsPostponed(err) {
				return nil
			}
			return err
		})},
		{"an event is postponed by the outermost error alone", postponed, "", verdict(func(_ ports.Delivery, err error) error {
			if ports.IsPostponed(errors.Unwrap(err)) {
				return ports.Permanent(errors.New("no such error"))
			}
			return err
		})},
		{"a handler's panic leaves Consume", panics, "", consuming((*pulls[ports.Delivery]).panicking)},

		{"an event whose handler panics comes again", panics, "", consuming(func(p *pulls[ports.Delivery]) {
			p.recovering(errors.New("handler out of order"))
		})},
		{"a dead letter also comes again", rejected, "other clauses set events aside", faultyEvents(func(b *faultyBroker) {
			b.consume.answer(func(d ports.Delivery, err error) error {
				if ports.IsPermanent(err) || err != nil && d.Attempt > len(b.Delays) {
					time.AfterFunc(100*time.Millisecond, func() { b.Publisher().Publish(context.Background(), d.Event) })
				}
				return err
			})
		})},
		{"a message that is not an event ends the consumer", strange, "", faultyEvents(endedByInject)},
	}
}

// endedByInject makes Consume end with an error at an injected message.
func endedByInject(b *faultyBroker) {
	bad := make(chan struct{}, 100)
	b.inject = func(ctx context.Context, body []byte) error {
		bad <- struct{}{}
		return b.Inject(ctx, body)
	}
	b.consume.call = func(ctx context.Context, h handle[ports.Delivery]) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		failed := make(chan error, 1)
		go func() {
			select {
			case <-bad:
				failed <- errors.New("consume: no event")
				cancel()
			case <-ctx.Done():
				failed <- nil
			}
		}()
		err := b.Consumer().Consume(ctx, h)
		return errors.Join(err, <-failed)
	}
}
