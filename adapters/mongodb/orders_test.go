package mongodb_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestAddWritesDocument(t *testing.T) {
	store := openNew(t)
	orders := store.Orders()
	order := newOrder(t, "ann", epoch)
	before := time.Now()
	if err := orders.Add(bounded(t), order, domain.Origin{}); err != nil {
		t.Fatal(err)
	}

	var got bson.M
	if err := store.Database().Collection("orders").FindOne(bounded(t), bson.M{"_id": string(order.ID)}).Decode(&got); err != nil {
		t.Fatal(err)
	}
	outbox, _ := got["outbox"].(bson.D)
	delete(got, "outbox")
	delete(got, "late") // the order is old
	want := bson.M{
		"_id": string(order.ID), "user_id": "ann", "product": "a lamp", "quantity": int32(2),
		"created_at": bson.NewDateTimeFromTime(epoch),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	if len(outbox) != 2 || outbox[0].Key != "free_at" || outbox[1].Key != "claim" {
		t.Fatalf("outbox is %v, want only free_at and claim", outbox)
	}
	if token, _ := outbox[1].Value.(string); !strings.HasPrefix(token, store.Owner()+".") {
		t.Errorf("the claim's token is %q, want it to name its owner, %s", token, store.Owner())
	}
	freeAt, _ := outbox[0].Value.(bson.DateTime)
	if d := freeAt.Time().Sub(before); d < 14*time.Second || d > 25*time.Second {
		t.Errorf("the claim ends %v after Add, want the default of 15 s", d)
	}
}

// A document is read exactly or not at all: a missing field is never zero.
func TestReadingIsStrict(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(document bson.M)
		want  string // empty: it can be read
	}{
		{"as it was written", func(bson.M) {}, ""},
		{"field of a later version", func(d bson.M) { d["colour"] = "red" }, ""},
		{"long quantity", func(d bson.M) { d["quantity"] = int64(2) }, ""},
		{"no user_id", func(d bson.M) { delete(d, "user_id") }, "user_id is missing"},
		{"no product", func(d bson.M) { delete(d, "product") }, "product is missing"},
		{"no quantity", func(d bson.M) { delete(d, "quantity") }, "quantity is missing"},
		{"no created_at", func(d bson.M) { delete(d, "created_at") }, "created_at is missing"},
		{"null user_id", func(d bson.M) { d["user_id"] = nil }, "user_id is of type null"},
		{"product as symbol", func(d bson.M) { d["product"] = bson.Symbol("a lamp") }, "product is of type symbol"},
		{"quantity as text", func(d bson.M) { d["quantity"] = "2" }, "quantity is of type string"},
		{"quantity as whole double", func(d bson.M) { d["quantity"] = 2.0 }, ""},
		{"quantity as whole decimal", func(d bson.M) { d["quantity"] = decimal("2.000") }, ""},
		{"quantity as decimal with exponent", func(d bson.M) { d["quantity"] = decimal("0.2E+1") }, ""},
		{"quantity as double", func(d bson.M) { d["quantity"] = 2.5 }, "quantity is of type double"},
		{"quantity as infinite double", func(d bson.M) { d["quantity"] = math.Inf(1) }, "quantity is of type double"},
		{"quantity is not a number", func(d bson.M) { d["quantity"] = math.NaN() }, "quantity is of type double"},
		{"quantity as double beyond int64", func(d bson.M) { d["quantity"] = 1e300 }, "quantity is of type double"},
		{"quantity as decimal", func(d bson.M) { d["quantity"] = decimal("2.5") }, "quantity is of type 128-bit decimal"},
		{"quantity as huge decimal", func(d bson.M) { d["quantity"] = decimal("2E+6000") }, "quantity is of type 128-bit decimal"},
		{"quantity as infinite decimal", func(d bson.M) { d["quantity"] = decimal("Infinity") }, "quantity is of type 128-bit decimal"},
		{"created_at as text", func(d bson.M) { d["created_at"] = "2026-11-23T10:00:00Z" }, "created_at is of type string"},
		{"created_at as timestamp", func(d bson.M) { d["created_at"] = bson.Timestamp{T: 1} }, "created_at is of type timestamp"},
		{"empty product", func(d bson.M) { d["product"] = "" }, "product is missing"},
		{"control character", func(d bson.M) { d["product"] = "a\nlamp" }, "product must not contain control characters"},
		{"quantity 0", func(d bson.M) { d["quantity"] = 0 }, "quantity must be at least 1"},
		{"quantity beyond int32", func(d bson.M) { d["quantity"] = int64(math.MaxInt32) + 3 }, "quantity must be at most"},
		{"created_at is the zero time", func(d bson.M) { d["created_at"] = time.Time{} }, "created_at is missing"},
		{"created_at after the year 9999", func(d bson.M) { d["created_at"] = bson.DateTime(253402300800000) }, "created_at must be in the years 1 to 9999"},
		{"created_at before the year 1", func(d bson.M) { d["created_at"] = bson.DateTime(-62135596800001) }, "created_at must be in the years 1 to 9999"},
		{"created_at is the latest time", func(d bson.M) { d["created_at"] = bson.DateTime(math.MaxInt64) }, "created_at must be in the years 1 to 9999"},
		{"id is not a UUID", func(d bson.M) { d["_id"] = "7" }, "id must be a UUID"},
	}
	store := openNew(t)
	orders := store.Orders()
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			user := fmt.Sprint("user", i) // this user's list holds only this document
			order := newOrder(t, user, epoch)
			d := document(order)
			tt.spoil(d)
			if _, err := store.Database().Collection("orders").InsertOne(bounded(t), d); err != nil {
				t.Fatal(err)
			}
			id := domain.OrderID(d["_id"].(string))

			got, err := orders.Get(bounded(t), id)
			checkUnreadable(t, "Get", err, string(id), tt.want)
			if diff := cmp.Diff(order, got); tt.want == "" && diff != "" {
				t.Errorf("Get (-want +got):\n%s", diff)
			}
			if d["user_id"] != user {
				return // List does not find it
			}
			page, err := orders.List(bounded(t), ports.OrderQuery{UserID: user, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			want := ports.OrderPage{Orders: []domain.Order{order}}
			if tt.want != "" {
				want = ports.OrderPage{Unreadable: 1}
			}
			if diff := cmp.Diff(want, page); diff != "" {
				t.Errorf("List (-want +got):\n%s", diff)
			}
		})
	}
}

func decimal(s string) bson.Decimal128 {
	d, err := bson.ParseDecimal128(s)
	if err != nil {
		panic(err)
	}
	return d
}

// checkUnreadable checks that err is an UnreadableError of that record, with the
// wanted text; or nil if that is empty.
func checkUnreadable(t *testing.T, call string, err error, id, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v", call, err)
		}
		return
	}
	var unreadable *ports.UnreadableError
	if !errors.As(err, &unreadable) {
		t.Fatalf("%s: error %v, want an UnreadableError: %q", call, err, want)
	}
	if got := unreadable.Field + " " + unreadable.Reason; !strings.HasPrefix(got, want) || !strings.Contains(unreadable.ID, id) {
		t.Errorf("%s: got %q of record %s, want %q of %s", call, got, unreadable.ID, want, id)
	}
	var invalid *domain.InvalidError
	if errors.As(err, &invalid) || errors.Is(err, ports.ErrUnavailable) || errors.Is(err, ports.ErrNotFound) {
		t.Errorf("%s: got %v, want neither ErrNotFound nor ErrUnavailable", call, err)
	}
}
