package mongodb_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"example.com/orderflow/domain"
)

func BenchmarkAdd(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			orders := openNew(b).Orders()
			order := newOrder(b, "ann", epoch)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					mine := order
					for left.Add(-1) >= 0 {
						mine.ID = domain.OrderID(uuid.NewString())
						if err := orders.Add(b.Context(), mine); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
		})
	}
}

func BenchmarkClaimAndMark(b *testing.B) {
	const size = 256
	store := openNew(b)
	orders := store.Orders()
	left := 0
	b.ResetTimer()
	for range b.N {
		if left == 0 {
			b.StopTimer()
			left = 20
			backlog(b, store, left*size)
			b.StartTimer()
		}
		left--
		events, err := orders.Claim(b.Context(), size)
		if err != nil {
			b.Fatal(err)
		}
		if len(events) != size {
			b.Fatalf("claimed %d events, want %d", len(events), size)
		}
		if err := orders.MarkPublished(b.Context(), eventIDs(events)...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
}
