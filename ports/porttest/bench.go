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
	byCallers(b, "Add", open, func(ctx context.Context, s Store, order domain.Order) error {
		return s.Orders.Add(ctx, order, originOf(order))
	})
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

// BenchmarkDeliveryLog measures Claim and Record by 1 to 1,024 callers, a page of
// List, the claim and record of a batch of due deliveries, and Expire of a batch.
func BenchmarkDeliveryLog(b *testing.B, open func(testing.TB) DeliveryLog) {
	byCallers(b, "ClaimAndRecord", open, func(ctx context.Context, d DeliveryLog, order domain.Order) error {
		event := eventOf(order)
		claim, err := d.Log.Claim(ctx, keyOf(event, channel))
		if err != nil {
			return err
		}
		return claim.Record(ctx, sentNow(event), event)
	})
	b.Run("List/limit=20", func(b *testing.B) {
		d := open(b)
		recordAll(b, d.Log, tiedDeliveries(0, 1000, false)...)
		by(b, 1, func(domain.Order) error {
			return errorOf(d.Log.List(b.Context(), ports.NotificationQuery{UserID: "user", States: []domain.NotificationState{domain.Sent}, Limit: 20}))
		})
	})
	const size = 256
	b.Run(fmt.Sprintf("ClaimDueAndRecord/deliveries=%d", size), func(b *testing.B) {
		due := func(n, count int) (all []delivered) {
			for i := range count {
				all = append(all, delivered{notificationIn(domain.Retrying, event(n+i), channel, 0), event(n + i)})
			}
			return all
		}
		benchmarkBatches(b, open(b), size, due, func(ctx context.Context, d DeliveryLog) (int, error) {
			due, err := d.Log.ClaimDue(ctx, channel, size)
			errs := []error{err}
			for _, w := range due {
				errs = append(errs, w.Claim.Record(ctx, sentNow(w.Event), w.Event))
			}
			return len(due), errors.Join(errs...)
		})
	})
	b.Run(fmt.Sprintf("Expire/deliveries=%d", size), func(b *testing.B) {
		sent := func(n, count int) []delivered { return tiedDeliveries(n, count, false) }
		benchmarkBatches(b, open(b), size, sent, func(ctx context.Context, d DeliveryLog) (int, error) {
			return d.Log.Expire(ctx, epoch.AddDate(1, 0, 0), size)
		})
	})
}

func sentNow(event domain.Event) domain.Notification {
	sent := notification(event, channel, 0)
	sent.At = domain.TruncateTime(time.Now())
	return sent
}

// benchmarkBatches calls do for batches of deliveries, which it has to deal with. It
// stops the clock to record more.
func benchmarkBatches(b *testing.B, d DeliveryLog, size int, batch func(n, count int) []delivered, do func(ctx context.Context, d DeliveryLog) (int, error)) {
	const batches = 20
	waiting := 0
	b.ResetTimer()
	for i := range b.N {
		if waiting == 0 {
			b.StopTimer()
			recordAll(b, d.Log, batch(i*size, batches*size)...)
			waiting = batches
			b.StartTimer()
		}
		waiting--
		done, err := do(b.Context(), d)
		if err == nil && done != size {
			err = fmt.Errorf("dealt with %d deliveries, want %d", done, size)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	report(b, b.N*size, "deliveries/s")
}

// BenchmarkEvents measures Publish of one event by 1 to 1,024 callers, Publish
// of a batch, and the delivery to a handler that does nothing.
func BenchmarkEvents(b *testing.B, open func(testing.TB) Events) {
	byCallers(b, "Publish", open, func(ctx context.Context, e Events, order domain.Order) error {
		return errors.Join(e.Publisher.Publish(ctx, eventOf(order))...)
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
