package mongodb_test

import (
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports/porttest"
)

// byMany calls do b.N times in all, from concurrent callers.
func byMany(b *testing.B, callers int, do func(order domain.Order) error) {
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
				if err := do(mine); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func BenchmarkStore(b *testing.B) { porttest.BenchmarkStore(b, openStore) }

func BenchmarkDeliveryLog(b *testing.B) { porttest.BenchmarkDeliveryLog(b, openDeliveryLog) }

// BenchmarkDrain measures how fast held notifications are claimed and recorded as
// sent. The backlog is as large as the number of operations.
func BenchmarkDrain(b *testing.B) {
	log := openNew(b).Deliveries()
	byMany(b, 256, func(order domain.Order) error {
		n := unsentOf(order, domain.Held)
		claim, err := log.Claim(b.Context(), n.Key())
		if err != nil {
			return err
		}
		return claim.Record(b.Context(), n, order.Created())
	})
	b.ResetTimer()
	for left := b.N; left > 0; {
		claimed, err := log.ClaimHeld(b.Context(), server, 500)
		if err != nil || len(claimed) == 0 {
			b.Fatalf("claimed %d, error %v", len(claimed), err)
		}
		left -= len(claimed)
		var wg sync.WaitGroup
		for _, waiting := range claimed {
			n := waiting.Notification
			n.State, n.Reason, n.NextTry, n.HeldBy = domain.Sent, "", time.Time{}, domain.PauseKey{}
			wg.Go(func() {
				if err := waiting.Claim.Record(b.Context(), n, waiting.Event); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkUngathered measures the same writes with one command for each caller.
func BenchmarkUngathered(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 256, 1024} {
		b.Run(fmt.Sprintf("Add/callers=%d", callers), func(b *testing.B) {
			collection := openNew(b).Database().Collection("orders")
			byMany(b, callers, func(order domain.Order) error {
				d := document(order)
				d["outbox"] = bson.M{"free_at": time.Now()}
				_, err := collection.InsertOne(b.Context(), d)
				return err
			})
		})
		b.Run(fmt.Sprintf("ClaimAndRecord/callers=%d", callers), func(b *testing.B) {
			db := openNew(b).Database()
			byMany(b, callers, func(order domain.Order) error {
				id := bson.D{{Key: "event_id", Value: string(order.Created().ID)}, {Key: "channel", Value: "mail"}}
				now := time.Now()
				_, err := db.Collection("delivery_claims").InsertOne(b.Context(), bson.M{"_id": id, "token": rand.Text(), "free_at": now})
				if err != nil {
					return err
				}
				_, err = db.Collection("deliveries").InsertOne(b.Context(),
					bson.M{"_id": id, "order_id": string(order.ID), "attempt": 1, "sent_at": now})
				return err
			})
		})
	}
}
