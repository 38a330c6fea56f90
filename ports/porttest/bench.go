package porttest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// The benchmarks measure what the services ask of an adapter, in the same way
// for each, so that figures of two adapters, or of one before and after a
// change, can be put side by side (golang.org/x/perf/cmd/benchstat). They report
// events or orders a second.

var atOnce = []int{1, 16, 64, 256, 1024} // callers

// by has so many callers do it b.N times in all, each time for another order.
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
			if err := do(order(b, n)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkStore measures Add by 1 to 1,024 callers at once, Get, a page of
// List, and what a sweep of the outbox costs by the batch.
func BenchmarkStore(b *testing.B, open func(testing.TB) Store) {
	for _, callers := range atOnce {
		b.Run(fmt.Sprintf("Add/callers=%d", callers), func(b *testing.B) {
			s := open(b)
			by(b, callers, func(o domain.Order) error { return s.Orders.Add(b.Context(), o) })
		})
	}
	b.Run("Get", func(b *testing.B) {
		s := open(b)
		one := order(b, 0)
		addAll(b, s, one)
		by(b, 1, func(domain.Order) error {
			_, err := s.Orders.Get(b.Context(), one.ID)
			return err
		})
	})
	b.Run("List/limit=20", func(b *testing.B) {
		s := open(b)
		addAll(b, s, orders(b, 0, 1000)...)
		by(b, 1, func(domain.Order) error {
			_, err := s.Orders.List(b.Context(), ports.OrderQuery{UserID: "user", Limit: 20})
			return err
		})
	})
	b.Run("ClaimAndMark/events=256", func(b *testing.B) { benchmarkSweep(b, open(b), 256) })
}

// benchmarkSweep fills the outbox anew whenever it is empty, beside the time
// that counts.
func benchmarkSweep(b *testing.B, s Store, size int) {
	const batches = 20
	ctx := b.Context()
	waiting := 0
	b.ResetTimer()
	for i := range b.N {
		if waiting == 0 {
			b.StopTimer()
			backlog := orders(b, i*size, batches*size)
			addAll(b, s, backlog...)
			if err := s.Outbox.Release(ctx, time.Now().Add(-time.Hour), eventIDs(created(backlog))...); err != nil { // free at once
				b.Fatal(err)
			}
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
	b.StopTimer()
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkDeliveryLog measures a claim with its record by 1 to 1,024 callers
// at once.
func BenchmarkDeliveryLog(b *testing.B, open func(testing.TB) DeliveryLog) {
	for _, callers := range atOnce {
		b.Run(fmt.Sprintf("ClaimAndRecord/callers=%d", callers), func(b *testing.B) {
			log := open(b).Log
			by(b, callers, func(o domain.Order) error {
				event := o.Created().ID
				claim, err := log.Claim(b.Context(), event, "mail")
				if err != nil {
					return err
				}
				return claim.Record(b.Context(), domain.Notification{
					EventID: event, OrderID: o.ID, Channel: "mail", Attempt: 1, SentAt: epoch,
				})
			})
		})
	}
}

// BenchmarkBroker measures Publish of one event by 1 to 1,024 callers at once,
// Publish by the batch, and the way from there through a handler that does
// nothing.
func BenchmarkBroker(b *testing.B, open func(testing.TB) Broker) {
	for _, callers := range atOnce {
		b.Run(fmt.Sprintf("Publish/callers=%d", callers), func(b *testing.B) {
			broker := open(b)
			by(b, callers, func(o domain.Order) error { return joined(broker.Publisher.Publish(b.Context(), o.Created())) })
		})
	}
	const batch = 256
	b.Run(fmt.Sprintf("Publish/events=%d", batch), func(b *testing.B) {
		broker := open(b)
		batched := events(b, 0, batch)
		b.ResetTimer()
		for range b.N {
			publish(b, broker, batched...)
		}
		b.StopTimer()
		b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("Consume", func(b *testing.B) {
		broker := open(b)
		for n := 0; n < b.N; n += batch {
			publish(b, broker, events(b, n, min(batch, b.N-n))...)
		}
		var handled atomic.Int64
		all := make(chan struct{})
		ctx, stop := context.WithCancel(b.Context())
		consumed := make(chan error, 1)
		consumer := broker.Consumer()
		b.ResetTimer()
		go func() {
			consumed <- consumer.Consume(ctx, func(context.Context, ports.Delivery) error {
				if handled.Add(1) == int64(b.N) { // what is handed over twice counts twice
					close(all)
				}
				return nil
			})
		}()
		<-all
		b.StopTimer()
		stop()
		select {
		case err := <-consumed:
			if err != nil {
				b.Error(err)
			}
		case <-time.After(patience):
			b.Error("the consumer does not end")
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
}
