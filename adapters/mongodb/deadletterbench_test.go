package mongodb_test

import (
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/ports"
)

// BenchmarkGroups measures the groups of 100,000 dead letters of 100 users and 50 reasons.
func BenchmarkGroups(b *testing.B) {
	const n = 100_000
	store := openWith(b, mongodb.Options{})
	for from := 0; from < n; from += 5000 {
		var letters []any
		for i := from; i < from+5000; i++ {
			at := epoch.Add(time.Duration(i) * time.Millisecond)
			letters = append(letters, bson.D{
				{Key: "_id", Value: fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-%012d-created", i)}, {Key: "message_id", Value: "m"}, {Key: "content_type", Value: "application/json"},
				{Key: "headers", Value: bson.A{bson.D{{Key: "name", Value: "ce-type"}, {Key: "value", Value: "order.created"}}}},
				{Key: "body", Value: bson.Binary{Data: make([]byte, 300)}}, {Key: "since", Value: at}, {Key: "state", Value: "waiting"},
				{Key: "event_type", Value: "order.created"}, {Key: "user_id", Value: fmt.Sprint("user ", i%100)}, {Key: "subscription", Value: "email"},
				{Key: "reason_group", Value: fmt.Sprint("refused by ", i%50)},
				{Key: "failures", Value: bson.A{bson.D{{Key: "reason", Value: "refused"}, {Key: "attempts", Value: 7}, {Key: "first_failure", Value: at}, {Key: "last_failure", Value: at}}}},
			})
		}
		if _, err := store.Database().Collection("dead_letters").InsertMany(b.Context(), letters, options.InsertMany().SetOrdered(false)); err != nil {
			b.Fatal(err)
		}
	}
	email := "email"
	for name, query := range map[string]ports.DeadLetterQuery{
		"all": {State: ports.Waiting}, "of a user": {State: ports.Waiting, UserID: "user 7"}, "of a channel": {State: ports.Waiting, Subscription: &email},
		"of a reason": {State: ports.Waiting, Reason: "refused"},
	} {
		want := n
		if query.UserID != "" {
			want = n / 100
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if groups, err := store.DeadLetters().Groups(b.Context(), query); err != nil || groups.Total != want {
					b.Fatalf("%d letters, error %v", groups.Total, err)
				}
			}
		})
	}
}
