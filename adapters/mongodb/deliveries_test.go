package mongodb_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// claimAtOnce has many callers claim one delivery, and returns the claims they got.
func claimAtOnce(t *testing.T, log *mongodb.Deliveries, event domain.EventID) []ports.DeliveryClaim {
	t.Helper()
	var mu sync.Mutex
	var got []ports.DeliveryClaim
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			claim, err := log.Claim(bounded(t), event, "mail")
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

func TestOneOfManyGetsTheDelivery(t *testing.T) {
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

// Even if somebody clears out the log, what was sent is recorded, whoever
// claims it at that moment.
func TestRecordHoldsAgainstClaims(t *testing.T) {
	store := openNew(t)
	log := store.Deliveries()
	for range 20 {
		order := newOrder(t, "ann", epoch)
		event := order.Created().ID
		claim, err := log.Claim(bounded(t), event, "mail")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Database().Collection("deliveries").DeleteMany(bounded(t), bson.M{}); err != nil {
			t.Fatal(err)
		}
		want := domain.Notification{EventID: event, OrderID: order.ID, Channel: "mail", Attempt: 3, SentAt: epoch}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				_, err := log.Claim(bounded(t), event, "mail")
				if err != nil && !errors.Is(err, ports.ErrClaimed) && !errors.Is(err, ports.ErrExists) {
					t.Errorf("claim: %v", err)
				}
			})
		}
		if err := claim.Record(bounded(t), want); err != nil {
			t.Error(err)
		}
		wg.Wait()
		got, err := log.List(bounded(t), order.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]domain.Notification{want}, got); diff != "" {
			t.Fatalf("recorded (-want +got):\n%s", diff)
		}
	}
}

func TestDeliveryDocument(t *testing.T) {
	store := openNew(t)
	log := store.Deliveries()
	order := newOrder(t, "ann", epoch)
	event := order.Created().ID
	kept := func() bson.M {
		t.Helper()
		var all []bson.M
		found, err := store.Database().Collection("deliveries").Find(bounded(t), bson.M{})
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
	claim, err := log.Claim(bounded(t), event, "mail")
	if err != nil {
		t.Fatal(err)
	}
	id := bson.D{{Key: "event_id", Value: string(event)}, {Key: "channel", Value: "mail"}}
	claimed := kept()
	held, _ := claimed["claim"].(bson.D)
	if len(held) != 2 || held[1].Key != "free_at" {
		t.Fatalf("claim is %v, want token and free_at", claimed["claim"])
	}
	freeAt, _ := held[1].Value.(bson.DateTime)
	if d := freeAt.Time().Sub(before); d < 44*time.Second || d > 55*time.Second {
		t.Errorf("the claim runs out after %v, want the default of 45 s", d)
	}
	delete(claimed, "claim")
	if diff := cmp.Diff(bson.M{"_id": id}, claimed); diff != "" {
		t.Errorf("claimed (-want +got):\n%s", diff)
	}

	sent := domain.Notification{EventID: event, OrderID: order.ID, Channel: "mail", Attempt: 2, SentAt: epoch}
	if err := claim.Record(bounded(t), sent); err != nil {
		t.Fatal(err)
	}
	want := bson.M{"_id": id, "order_id": string(order.ID), "attempt": int32(2), "sent_at": bson.NewDateTimeFromTime(epoch)}
	if diff := cmp.Diff(want, kept()); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

func TestReadingDeliveriesIsStrict(t *testing.T) {
	store := openNew(t)
	log := store.Deliveries()
	ctx := bounded(t)
	list := func(ctx context.Context, order domain.OrderID, _ domain.EventID) error {
		_, err := log.List(ctx, order)
		return err
	}
	claim := func(ctx context.Context, _ domain.OrderID, event domain.EventID) error {
		_, err := log.Claim(ctx, event, "mail")
		return err
	}
	tests := []struct {
		name  string
		spoil func(document bson.M)
		call  func(context.Context, domain.OrderID, domain.EventID) error
		want  string
	}{
		{"as it was written", func(bson.M) {}, list, ""},
		{"field of a later version", func(d bson.M) { d["receipt"] = "x" }, list, ""},
		{"no attempt", func(d bson.M) { delete(d, "attempt") }, list, "field attempt is missing"},
		{"attempt as text", func(d bson.M) { d["attempt"] = "1" }, list, "field attempt is of type string"},
		{"no sent_at", func(d bson.M) { delete(d, "sent_at") }, list, "field sent_at is missing"},
		{"sent_at as text", func(d bson.M) { d["sent_at"] = "now" }, list, "field sent_at is of type string"},
		{"id as text", func(d bson.M) { d["_id"] = fmt.Sprint(d["_id"]) }, list, "field _id is of type string"},
		{"no channel", func(d bson.M) { d["_id"] = d["_id"].(bson.D)[:1] }, list, "field channel is missing"},
		{"neither claimed nor sent", func(d bson.M) { delete(d, "sent_at") }, claim, "field claim is missing"},
		{"claim without end", func(d bson.M) { delete(d, "sent_at"); d["claim"] = bson.M{} }, claim, "field free_at is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			order := newOrder(t, "ann", epoch)
			event := order.Created().ID
			d := bson.M{
				"_id":      bson.D{{Key: "event_id", Value: string(event)}, {Key: "channel", Value: "mail"}},
				"order_id": string(order.ID), "attempt": 1, "sent_at": epoch,
			}
			tt.spoil(d)
			if _, err := store.Database().Collection("deliveries").InsertOne(ctx, d); err != nil {
				t.Fatal(err)
			}
			check(t, "call", tt.call(ctx, order.ID, event), string(event), tt.want)
		})
	}
}
