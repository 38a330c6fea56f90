package porttest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// The benchmarks call every adapter in the same way, so that benchstat
// (golang.org/x/perf/cmd/benchstat) can compare two adapters, or one before and
// after a change. They report orders or events a second.

// byCallers runs a benchmark for 1 to 1,024 callers at once. They call do b.N
// times in all, each time for another order.
func byCallers[A any](b *testing.B, name string, open func(testing.TB) A, do func(ctx context.Context, a A, order domain.Order) error) {
	for _, callers := range []int{1, 16, 64, 256, 1024} {
		b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
			a := open(b)
			by(b, callers, func(order domain.Order) error { return do(b.Context(), a, order) })
		})
	}
}

func by(b *testing.B, callers int, do func(domain.Order) error) {
	b.Helper()
	var next atomic.Int64
	b.ResetTimer()
	together(callers, func(int) {
		for {
			n := int(next.Add(1))
			if n > b.N {
				return
			}
			if err := do(order(n)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	report(b, b.N, "ops/s")
}

func report(b *testing.B, count int, unit string) {
	b.StopTimer()
	b.ReportMetric(float64(count)/b.Elapsed().Seconds(), unit)
}

// BenchmarkStore measures Add by 1 to 1,024 callers, Get, a page of List, and
// the claim and mark of a batch of events.
func BenchmarkStore(b *testing.B, open func(testing.TB) Store) {
	byCallers(b, "Add", open, func(ctx context.Context, s Store, order domain.Order) error { return s.Orders.Add(ctx, order) })
	b.Run("Get", func(b *testing.B) {
		s := open(b)
		add(b, s, order(0))
		by(b, 1, func(domain.Order) error { return errorOf(s.Orders.Get(b.Context(), order(0).ID)) })
	})
	b.Run("List/limit=20", func(b *testing.B) {
		s := open(b)
		add(b, s, orders(0, 1000)...)
		by(b, 1, func(domain.Order) error {
			return errorOf(s.Orders.List(b.Context(), ports.OrderQuery{UserID: "user", Limit: 20}))
		})
	})
	b.Run("ClaimAndMark/events=256", func(b *testing.B) { benchmarkSweep(b, open(b), 256) })
}

// benchmarkSweep claims and marks batches. It stops the clock to fill an empty
// outbox.
func benchmarkSweep(b *testing.B, s Store, size int) {
	const batches = 20
	ctx := b.Context()
	waiting := 0
	b.ResetTimer()
	for i := range b.N {
		if waiting == 0 {
			b.StopTimer()
			backlog := orders(i*size, batches*size)
			add(b, s, backlog...)
			release(b, s, time.Now().Add(-time.Hour), eventIDs(created(backlog))...)
			waiting = batches
			b.StartTimer()
		}
		waiting--
		events, err := s.Outbox.Claim(ctx, size)
		if err == nil && len(events) != size {
			err = fmt.Errorf("claimed %d events, want %d", len(events), size)
		}
		if err == nil {
			err = s.Outbox.MarkPublished(ctx, eventIDs(events)...)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	report(b, b.N*size, "events/s")
}

// BenchmarkDeliveryLog measures Claim and Record by 1 to 1,024 callers.
func BenchmarkDeliveryLog(b *testing.B, open func(testing.TB) DeliveryLog) {
	byCallers(b, "ClaimAndRecord", open, func(ctx context.Context, d DeliveryLog, order domain.Order) error {
		event := order.Created()
		claim, err := d.Log.Claim(ctx, keyOf(event, channel))
		if err != nil {
			return err
		}
		return claim.Record(ctx, notification(event, channel, 0), event)
	})
}

// BenchmarkEvents measures Publish of one event by 1 to 1,024 callers, Publish
// of a batch, and the delivery to a handler that does nothing.
func BenchmarkEvents(b *testing.B, open func(testing.TB) Events) {
	byCallers(b, "Publish", open, func(ctx context.Context, e Events, order domain.Order) error {
		return errors.Join(e.Publisher.Publish(ctx, order.Created())...)
	})
	const batch = 256
	b.Run(fmt.Sprintf("Publish/events=%d", batch), func(b *testing.B) {
		e := open(b)
		batched := events(0, batch)
		b.ResetTimer()
		for range b.N {
			publish(b, e, batched...)
		}
		report(b, b.N*batch, "events/s")
	})
	b.Run("Consume", func(b *testing.B) {
		e := open(b)
		for n := 0; n < b.N; n += batch {
			publish(b, e, events(n, min(batch, b.N-n))...)
		}
		var handled atomic.Int64
		all := make(chan struct{})
		ctx, stop := context.WithCancel(b.Context())
		consumed := make(chan error, 1)
		consumer := e.Consumer()
		b.ResetTimer()
		go func() {
			consumed <- consumer.Consume(ctx, func(context.Context, ports.Delivery) error {
				if handled.Add(1) == int64(b.N) { // a repeat counts twice
					close(all)
				}
				return nil
			})
		}()
		<-all
		report(b, b.N, "events/s")
		stop()
		select {
		case err := <-consumed:
			if err != nil {
				b.Error(err)
			}
		case <-time.After(patience):
			b.Errorf("Consume did not return within %v after its context ended", patience)
		}
	})
}
