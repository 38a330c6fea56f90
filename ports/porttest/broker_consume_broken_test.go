package porttest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// consuming makes a broker with another Consume.
func consuming(breakIt func(p *pulls[ports.Delivery])) func() porttest.Events {
	return faultyEvents(func(b *faultyBroker) { breakIt(&b.consume) })
}

func brokenConsumers() []broken[porttest.Events] {
	const (
		shares  = "several calls of Consume share the events"
		one     = "two calls of Consume on one consumer share the events"
		nothing = "Consume delivers nothing after its context has ended, and leaves the rest to the next consumer"
	)
	return append(brokenPulls("Consume", "events", consuming), []broken[porttest.Events]{
		{"a consumer can be used once", "a consumer may consume again after it was stopped", "another clause calls Consume twice at once", func() porttest.Events {
			e := faultyEvents(func(*faultyBroker) {})()
			e.Consumer = once(e.Consumer, func(used *atomic.Bool) bool { return used.Swap(true) }, func(*atomic.Bool) {})
			return e
		}},
		{"a consumer makes one call at a time", one, "", func() porttest.Events {
			e := faultyEvents(func(*faultyBroker) {})()
			e.Consumer = once(e.Consumer, func(used *atomic.Bool) bool { return used.Swap(true) }, func(used *atomic.Bool) { used.Store(false) })
			return e
		}},
		{"one consumer takes all events", shares, "the other call of one consumer gets none either", faultyEvents(func(b *faultyBroker) {
			b.Prefetch = 1_000_000
			var busy sync.Mutex
			b.consume.call = func(ctx context.Context, h handle[ports.Delivery]) error {
				if !busy.TryLock() {
					<-ctx.Done()
					return nil
				}
				defer busy.Unlock()
				return b.Consumer().Consume(ctx, h)
			}
		})},
		{"events are fetched one at a time", "Consume hands over several events at once", "other clauses hold several", faultyEvents(func(b *faultyBroker) {
			b.Prefetch = 1
		})},
		{"events of one order are delivered at once", "Consume never delivers two events of one order at once", "the clause of an ended context relies on it", faultyEvents(func(b *faultyBroker) {
			b.Prefetch = 1
			b.consume.call = func(ctx context.Context, h handle[ports.Delivery]) error { // independent workers
				var workers sync.WaitGroup
				for range 20 {
					workers.Go(func() { b.Consumer().Consume(ctx, h) })
				}
				workers.Wait()
				return nil
			}
		})},
		{"events that were fetched when the context ended count as failed", nothing, "events come at the second attempt when its context had ended before", consuming(func(p *pulls[ports.Delivery]) {
			p.unheard(errors.New("stopping"))
		})},
		{"acknowledgements are lost when a consumer stops", "Consume never hands over accepted events again", "other clauses make a second call", faultyEvents(func(b *faultyBroker) {
			b.consume.call = func(ctx context.Context, h handle[ports.Delivery]) error {
				var mu sync.Mutex
				var handled []domain.Event
				err := b.Consumer().Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
					err := h(ctx, d)
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						handled = append(handled, d.Event)
					}
					return err
				})
				return errors.Join(err, errors.Join(b.Publisher().Publish(context.WithoutCancel(ctx), handled...)...))
			}
		})},
	}...)
}

// once makes consumers that refuse a call while they are used.
func once(whole func() ports.EventConsumer, use func(used *atomic.Bool) bool, leave func(used *atomic.Bool)) func() ports.EventConsumer {
	return func() ports.EventConsumer {
		var used atomic.Bool
		own := whole()
		return consumer(func(ctx context.Context, h handle[ports.Delivery]) error {
			if use(&used) {
				return errors.New("consume: this consumer is used")
			}
			defer leave(&used)
			return own.Consume(ctx, h)
		})
	}
}
