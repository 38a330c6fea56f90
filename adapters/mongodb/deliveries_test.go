package mongodb_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// claimAtOnce has many callers claim one delivery, and returns their claims.
func claimAtOnce(t *testing.T, log *mongodb.Deliveries, event domain.EventID) []ports.DeliveryClaim {
	t.Helper()
	var mu sync.Mutex
	var got []ports.DeliveryClaim
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			claim, err := log.Claim(bounded(t), keyOf(event, "mail"))
			if errors.Is(err, ports.ErrClaimed) {
				return
			}
			if err != nil {
				t.Errorf("claim: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, claim)
		})
	}
	wg.Wait()
	return got
}

func TestOneOfManyCallersGetsTheClaim(t *testing.T) {
	log := openNew(t).Deliveries()
	for i := range 10 {
		event := newOrder(t, "ann", epoch).Created().ID
		for _, state := range []string{"new", "released"} {
			claims := claimAtOnce(t, log, event)
			if len(claims) != 1 {
				t.Fatalf("delivery %d, %s: %d callers got the claim, want 1", i, state, len(claims))
			}
			if err := claims[0].Release(bounded(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestDeliveryDocuments(t *testing.T) {
	store := openNew(t)
	log := store.Deliveries()
	order := newOrder(t, "ann", epoch)
	event := order.Created().ID
	kept := func(collection string) bson.M {
		t.Helper()
		var all []bson.M
		found, err := store.Database().Collection(collection).Find(bounded(t), bson.M{})
		if err != nil {
			t.Fatal(err)
		}
		if err := found.All(bounded(t), &all); err != nil {
			t.Fatal(err)
		}
		if len(all) != 1 {
			t.Fatalf("%d documents, want 1", len(all))
		}
		return all[0]
	}
	before := time.Now()
	claim, err := log.Claim(bounded(t), keyOf(event, "mail"))
	if err != nil {
		t.Fatal(err)
	}
	id := bson.D{{Key: "event_id", Value: string(event)}, {Key: "channel", Value: "mail"}}
	claimed := kept("delivery_claims")
	freeAt, _ := claimed["free_at"].(bson.DateTime)
	if d := freeAt.Time().Sub(before); d < 44*time.Second || d > 55*time.Second {
		t.Errorf("the claim ends after %v, want the default of 45 s", d)
	}
	if token, _ := claimed["token"].(string); !strings.HasPrefix(token, store.Owner()+".") {
		t.Errorf("the claim's token is %q, want it to name its owner, %s", token, store.Owner())
	}
	delete(claimed, "token")
	delete(claimed, "free_at")
	if diff := cmp.Diff(bson.M{"_id": id}, claimed); diff != "" {
		t.Errorf("claimed (-want +got):\n%s", diff)
	}

	sent := domain.Notification{EventID: event, OrderID: order.ID, Channel: "mail", Attempt: 2, State: domain.Sent, At: epoch}
	if err := claim.Record(bounded(t), sent, domain.Event{}); err != nil {
		t.Fatal(err)
	}
	want := bson.M{"_id": id, "order_id": string(order.ID), "attempt": int32(2), "sent_at": bson.NewDateTimeFromTime(epoch)}
	recorded := kept("deliveries")
	delete(recorded, "late") // it is old
	if diff := cmp.Diff(want, recorded); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

func TestReadingDeliveriesIsStrict(t *testing.T) {
	store := openNew(t)
	log := store.Deliveries()
	ctx := bounded(t)
	tests := []struct {
		name  string
		spoil func(document bson.M)
		want  string
	}{
		{"as it was written", func(bson.M) {}, ""},
		{"field of a later version", func(d bson.M) { d["receipt"] = "x" }, ""},
		{"no attempt", func(d bson.M) { delete(d, "attempt") }, "attempt is missing"},
		{"attempt as text", func(d bson.M) { d["attempt"] = "1" }, "attempt is of type string"},
		{"no sent_at", func(d bson.M) { delete(d, "sent_at") }, "sent_at is missing"},
		{"sent_at as text", func(d bson.M) { d["sent_at"] = "now" }, "sent_at is of type string"},
		{"attempt 0", func(d bson.M) { d["attempt"] = 0 }, "attempt must be at least 1"},
		{"sent_at after the year 9999", func(d bson.M) { d["sent_at"] = bson.DateTime(253402300800000) }, "sent_at must be in the years 1 to 9999"},
		{"id as text", func(d bson.M) { d["_id"] = fmt.Sprint(d["_id"]) }, "id is of type string"},
		{"no channel", func(d bson.M) { d["_id"] = d["_id"].(bson.D)[:1] }, "channel is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			order := newOrder(t, "ann", epoch)
			event := order.Created().ID
			d := bson.M{
				"_id":      bson.D{{Key: "event_id", Value: string(event)}, {Key: "channel", Value: "mail"}},
				"order_id": string(order.ID), "user_id": string(order.ID), "attempt": 1, "sent_at": epoch,
			}
			tt.spoil(d)
			if _, err := store.Database().Collection("deliveries").InsertOne(ctx, d); err != nil {
				t.Fatal(err)
			}
			list, err := log.List(ctx, ports.NotificationQuery{UserID: string(order.ID)})
			if err != nil {
				t.Fatal(err)
			}
			want := ports.NotificationPage{Notifications: []domain.Notification{
				{EventID: event, OrderID: order.ID, UserID: string(order.ID), Channel: "mail", Attempt: 1, State: domain.Sent, At: epoch},
			}}
			if tt.want != "" {
				want = ports.NotificationPage{Unreadable: 1}
			}
			if diff := cmp.Diff(want, list); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
		})
	}
}

// An unreadable record neither proves that the notification was sent, nor lets it be
// sent again.
func TestUnreadableRecord(t *testing.T) {
	store := openWith(t, runOut)
	held := hold(t, store)
	id := held.sent.EventID
	strange := bson.M{"_id": bson.D{{Key: "event_id", Value: string(id)}, {Key: "channel", Value: "mail"}}}
	if _, err := store.Database().Collection("deliveries").InsertOne(bounded(t), strange); err != nil {
		t.Fatal(err)
	}
	_, err := store.Deliveries().Claim(bounded(t), keyOf(id, "mail"))
	checkUnreadable(t, "claim", err, string(id), "order_id is missing")
	recorded := held.claim.Record(bounded(t), held.sent, domain.Event{})
	checkUnreadable(t, "record", recorded, string(id), "order_id is missing")
	if !ports.IsPermanent(err) || !ports.IsPermanent(recorded) {
		t.Errorf("claim: %v, record: %v; want permanent errors", err, recorded)
	}
}

// runOut makes claims that end immediately.
var runOut = mongodb.Options{OutboxLease: time.Nanosecond, DeliveryLease: time.Nanosecond}

// A claim is free if its end is not a time, or is so late that a wrong clock made
// it.
func TestClaimsWithAnInvalidEndAreFree(t *testing.T) {
	store := openWith(t, mongodb.Options{DeliveryLease: time.Minute})
	log := store.Deliveries()
	end := func(at any) bson.M { return bson.M{"$set": bson.M{"free_at": at}} }
	in := func(d time.Duration) bson.M { return end(time.Now().Add(d)) }
	tests := []struct {
		name  string
		spoil bson.M
		want  error
	}{
		{"missing", bson.M{"$unset": bson.M{"free_at": ""}}, nil},
		{"text", end("tomorrow"), nil},
		{"in 30 s", in(30 * time.Second), ports.ErrClaimed},
		{"in 75 s, by a clock that is 15 s ahead", in(75 * time.Second), ports.ErrClaimed},
		{"in 2 min", in(2 * time.Minute), nil},
		{"in 1 h", in(time.Hour), nil},
		{"in 4 years", in(100 * 365 * time.Hour), nil},
	}
	for _, tt := range tests {
		event := newOrder(t, "ann", epoch).Created().ID
		if _, err := log.Claim(bounded(t), keyOf(event, "mail")); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Database().Collection("delivery_claims").UpdateOne(bounded(t), bson.M{"_id.event_id": string(event)}, tt.spoil); err != nil {
			t.Fatal(err)
		}
		if _, err := log.Claim(bounded(t), keyOf(event, "mail")); !errors.Is(err, tt.want) {
			t.Errorf("claim a delivery whose claim ends %s: got %v, want %v", tt.name, err, tt.want)
		}
		if _, err := log.Claim(bounded(t), keyOf(event, "mail")); !errors.Is(err, ports.ErrClaimed) {
			t.Errorf("claim again, %s: got %v, want ErrClaimed", tt.name, err)
		}
	}
}

// The holder of an ended claim may record while another caller takes over the
// claim.
func TestRecordDuringTakeOver(t *testing.T) {
	url := databaseURL(t)
	held := hold(t, open(t, url, runOut))
	taking := open(t, url, mongodb.Monitored(&event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if collection, _ := e.Command.Lookup("update").StringValueOK(); collection == "delivery_claims" { // between the first check and the takeover
			if err := held.claim.Record(bounded(t), held.sent, domain.Event{}); err != nil {
				t.Error(err)
			}
		}
	}}))
	if _, err := taking.Deliveries().Claim(bounded(t), keyOf(held.sent.EventID, "mail")); !errors.Is(err, ports.ErrExists) {
		t.Errorf("claim a delivery that was recorded meanwhile: got %v, want ErrExists", err)
	}
}
