package mongodb_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/mongodb"
)

// BenchmarkAccount measures the accounts of a database of an earlier version, before and
// after its records were counted. BENCH_RECORDS is how many orders and deliveries it has.
func BenchmarkAccount(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("BENCH_RECORDS"))
	if err != nil {
		n = 100_000
	}
	url := databaseURL(b)
	store := open(b, url, mongodb.Options{})
	db := store.Database()
	for from := 0; from < n; from += 5000 {
		var orders, deliveries []any
		for i := range min(5000, n-from) {
			id, at := uuid.NewString(), epoch.Add(time.Duration(from+i)*time.Millisecond)
			orders = append(orders, bson.D{{Key: "_id", Value: id}, {Key: "user_id", Value: "ann"}, {Key: "product", Value: "a lamp"},
				{Key: "quantity", Value: 2}, {Key: "created_at", Value: at}})
			deliveries = append(deliveries, bson.D{
				{Key: "_id", Value: bson.D{{Key: "event_id", Value: id + "-created"}, {Key: "channel", Value: "mail"}}},
				{Key: "order_id", Value: id}, {Key: "attempt", Value: 1}, {Key: "sent_at", Value: at},
			})
		}
		for name, documents := range map[string][]any{"orders": orders, "deliveries": deliveries} {
			if _, err := db.Collection(name).InsertMany(b.Context(), documents, options.InsertMany().SetOrdered(false)); err != nil {
				b.Fatal(err)
			}
		}
	}
	if _, err := db.Collection("counts").UpdateMany(b.Context(), bson.M{}, bson.M{"$unset": bson.M{"upto": "", "tallies": ""}, "$inc": bson.M{"rev": 1}}); err != nil {
		b.Fatal(err)
	}
	account := func() {
		orders, err := store.Orders().Account(b.Context())
		if err != nil || orders.Orders != n || orders.Published != n {
			b.Fatalf("%+v, error %v", orders, err)
		}
		deliveries, err := store.Deliveries().Account(b.Context())
		if err != nil || len(deliveries) != 1 || deliveries[0].Sent != n {
			b.Fatalf("%+v, error %v", deliveries, err)
		}
	}
	began := time.Now()
	account()
	b.Logf("%d records of each kind: the account before they are counted takes %v", n, time.Since(began))
	began = time.Now()
	for {
		kept, err := db.Collection("counts").CountDocuments(b.Context(), bson.M{"upto": bson.M{"$exists": true}})
		if err != nil {
			b.Fatal(err)
		}
		if kept == 2 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.Logf("the count was kept after %v", time.Since(began))
	b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
		for b.Loop() {
			account()
		}
	})
}
