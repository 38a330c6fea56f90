package sqlite_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func BenchmarkStore(b *testing.B) {
	porttest.BenchmarkStore(b, func(t testing.TB) porttest.Store {
		one, other := openTwice(t, sqlite.Options{})
		return porttest.Store{Orders: one.Orders(), Outbox: one.Orders(), Other: other.Orders(), Lease: one.Orders().ClaimLease()}
	})
}

func BenchmarkDeliveryLog(b *testing.B) {
	porttest.BenchmarkDeliveryLog(b, func(t testing.TB) porttest.DeliveryLog {
		one, other := openTwice(t, sqlite.Options{})
		return porttest.DeliveryLog{Log: one.Deliveries(), Other: other.Deliveries(), Lease: one.Deliveries().ClaimLease()}
	})
}

func BenchmarkEvents(b *testing.B) {
	porttest.BenchmarkEvents(b, func(t testing.TB) porttest.Events {
		s := open(t, newURL(t), sqlite.Options{})
		return porttest.Events{Publisher: s.Publisher(), Consumer: func() ports.EventConsumer { return s.Consumer() }}
	})
}

// BenchmarkAtSize measures what stored orders cost: Add by 256 callers, a page of List,
// and a Claim that finds no event.
func BenchmarkAtSize(b *testing.B) {
	for _, stored := range []int{1000, 100_000} {
		s := open(b, newURL(b), sqlite.Options{})
		addMany(b, s.Orders(), stored)
		b.Run(fmt.Sprintf("Add/stored=%d", stored), func(b *testing.B) {
			addMany(b, s.Orders(), b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
		b.Run(fmt.Sprintf("List/stored=%d", stored), func(b *testing.B) {
			for b.Loop() {
				page, err := s.Orders().List(b.Context(), ports.OrderQuery{Limit: 20})
				if err != nil || len(page.Orders) != 20 {
					b.Fatalf("%d orders, error %v", len(page.Orders), err)
				}
			}
		})
		b.Run(fmt.Sprintf("Claim/stored=%d", stored), func(b *testing.B) {
			for b.Loop() {
				events, err := s.Orders().Claim(b.Context(), 1000)
				if err != nil || len(events) > 0 {
					b.Fatalf("claimed %d, error %v", len(events), err)
				}
			}
		})
	}
}

// addMany adds orders by 256 callers, and marks their events as published.
func addMany(b *testing.B, orders *sqlite.Orders, count int) {
	now := time.Now()
	var left atomic.Int64
	left.Store(int64(count))
	var wg sync.WaitGroup
	for caller := range 256 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				id := domain.OrderID(uuid.Must(uuid.NewV7()).String())
				order, err := domain.NewOrder(id, fmt.Sprint("user-", caller), "Laptop", 1, now)
				if err == nil {
					err = orders.Add(b.Context(), order, domain.Origin{})
				}
				if err == nil {
					err = orders.MarkPublished(b.Context(), order.Created().ID)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
