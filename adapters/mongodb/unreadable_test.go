package mongodb_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// quiet opens a store that logs nothing.
var quiet = mongodb.Options{Logger: slog.New(slog.DiscardHandler)}

// spoiled returns unreadable versions of a document, each with its own id.
func spoiled(original func() bson.M, times string, fields ...string) []any {
	var all []any
	add := func(spoil func(d bson.M)) {
		d := original()
		d["_id"] = fmt.Sprint(d["_id"], " spoiled ", len(all))
		spoil(d)
		all = append(all, d)
	}
	for _, name := range fields {
		add(func(d bson.M) { delete(d, name) })
		add(func(d bson.M) { d[name] = nil })
		add(func(d bson.M) { d[name] = bson.M{"x": 1} })
	}
	for _, value := range []any{"2026-11-23", true, 7, bson.NewObjectID(), bson.M{}, bson.Timestamp{T: 1}, bson.Regex{Pattern: "x"}, bson.MinKey{}, bson.MaxKey{}, bson.A{"x"},
		bson.JavaScript("x"), bson.CodeWithScope{Code: "x", Scope: bson.D{}}, bson.Undefined{}, bson.Symbol("x"), bson.DBPointer{DB: "x"},
		bson.DateTime(253402300800000), bson.DateTime(-62135596800001)} {
		add(func(d bson.M) { d[times] = value })
	}
	n := rand.Int32()
	for _, id := range []any{bson.NewObjectID(), n, 0.5 + float64(n), time.UnixMilli(int64(n)), bson.M{"x": n}, bson.Binary{Data: fmt.Append(nil, n)}} {
		add(func(d bson.M) { d["_id"] = id })
	}
	return all
}

// List returns each readable order once and counts each unreadable one once. They
// may be mixed, have the same time, or fill the end of a page or the whole page.
func TestListSkipsUnreadableOrders(t *testing.T) {
	store := openWith(t, quiet)
	orders := store.Orders()
	collection := store.Database().Collection("orders")
	var want []domain.Order
	var documents []any
	unreadable := 0
	for i := range 12 {
		at := epoch.Add(time.Duration(i/3) * time.Millisecond) // three orders of each time
		order := newOrder(t, "ann", at)
		want = append(want, order)
		documents = append(documents, document(order))
		if i%2 == 0 {
			bad := spoiled(func() bson.M { return document(newOrder(t, "ann", at)) }, "created_at", "product", "quantity", "created_at")
			unreadable += len(bad)
			documents = append(documents, bad...)
		}
	}
	rand.Shuffle(len(documents), func(i, j int) { documents[i], documents[j] = documents[j], documents[i] })
	if _, err := collection.InsertMany(bounded(t), documents); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(want, func(a, b domain.Order) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(string(b.ID), string(a.ID))
	})
	for _, user := range []string{"", "ann"} {
		for _, limit := range []int{1, 2, 3, 5, 12, 13, 1000} {
			query := ports.OrderQuery{UserID: user, Limit: limit}
			var got []domain.Order
			skipped := 0
			for {
				page, err := orders.List(bounded(t), query)
				if err != nil {
					t.Fatal(err)
				}
				if page.NextCursor != "" && len(page.Orders) != limit {
					t.Fatalf("a page of %d, want %d", len(page.Orders), limit)
				}
				got = append(got, page.Orders...)
				skipped += page.Unreadable
				if query.Cursor = page.NextCursor; query.Cursor == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("user %q by %d (-want +got):\n%s", user, limit, diff)
			}
			if skipped != unreadable {
				t.Errorf("user %q by %d: %d records were skipped, want %d", user, limit, skipped, unreadable)
			}
		}
	}
}

func TestListSkipsUnreadableLetters(t *testing.T) {
	store := openWith(t, quiet)
	letters := store.DeadLetters()
	n := 0
	letter := func() bson.M {
		n++
		return bson.M{
			"_id": fmt.Sprintf("letter %03d", n), "message_id": "m", "content_type": "text/plain", "headers": bson.A{}, "body": []byte("{}"),
			"since": epoch.Add(time.Duration(n/40) * time.Millisecond), "state": "waiting",
			"failures": bson.A{bson.M{"reason": "time out", "attempts": 1.0, "first_failure": epoch, "last_failure": epoch}},
		}
	}
	var documents []any
	var want []string
	unreadable := 0
	for range 6 {
		d := letter()
		want = append(want, d["_id"].(string))
		bad := spoiled(letter, "since", "message_id", "failures", "since")
		for _, failures := range []any{bson.M{"reason": "time out"}, bson.A{"x"}, bson.A{bson.M{"reason": 7}}, bson.A{}, "time out"} {
			d := letter()
			d["failures"] = failures
			bad = append(bad, d)
		}
		unreadable += len(bad)
		documents = append(append(documents, d), bad...)
	}
	rand.Shuffle(len(documents), func(i, j int) { documents[i], documents[j] = documents[j], documents[i] })
	if _, err := store.Database().Collection("dead_letters").InsertMany(bounded(t), documents); err != nil {
		t.Fatal(err)
	}
	for _, query := range []ports.DeadLetterQuery{{}, {State: ports.Waiting}, {Reason: "time"}} {
		for _, limit := range []int{1, 2, 5, 6, 7, 1000} {
			query.Limit = limit
			var got []string
			skipped := 0
			for {
				page, err := letters.List(bounded(t), query)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range page.Records {
					got = append(got, l.ID)
				}
				skipped += page.Unreadable
				if query.Cursor = page.NextCursor; query.Cursor == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", query, diff)
			}
			if skipped != unreadable {
				t.Errorf("%+v: %d records were skipped, want %d", query, skipped, unreadable)
			}
		}
	}
}

// A record whose times RFC 3339 can't write is unreadable. If only the sender's
// timestamp is so, the record is readable, without that timestamp.
func TestDeadLetterWithUnwritableTimes(t *testing.T) {
	const year10000 = bson.DateTime(253402300800000)
	store := openNew(t)
	letters := store.DeadLetters()
	for field, want := range map[string]string{
		"since": "since must be", "settled_at": "settled_at must be", "timestamp": "",
		"failures.0.first_failure": "failures.first_failure must be", "failures.0.last_failure": "failures.last_failure must be",
	} {
		letter := deadLetter(field, epoch)
		letter.Message.Timestamp = epoch
		putLetter(t, letters, letter)
		set := bson.M{field: year10000}
		if field == "settled_at" {
			set["state"] = "discarded"
		}
		if _, err := store.Database().Collection("dead_letters").UpdateOne(bounded(t), bson.M{"_id": field}, bson.M{"$set": set}); err != nil {
			t.Fatal(err)
		}
		got, err := letters.Get(bounded(t), field)
		checkUnreadable(t, field, err, field, want)
		if !got.Message.Timestamp.IsZero() {
			t.Errorf("%s: the message's time is %v, want none", field, got.Message.Timestamp)
		}
	}
}

// A call logs one line, however many records it skips.
func TestListLogsSkippedRecords(t *testing.T) {
	var log bytes.Buffer
	store := openWith(t, mongodb.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	orders, deliveries, letters := store.Orders(), store.Deliveries(), store.DeadLetters()
	var bad, bare []any
	for i := range 20 {
		bad = append(bad, bson.M{
			"_id": fmt.Sprintf("record-%02d", i), "order_id": "order", "created_at": epoch.Add(time.Duration(-i) * time.Second),
			"sent_at": epoch.Add(time.Duration(-i) * time.Second), "since": epoch.Add(time.Duration(i) * time.Second),
			"outbox": bson.M{"free_at": epoch},
		})
	}
	for _, name := range []string{"orders", "deliveries", "dead_letters"} {
		if _, err := store.Database().Collection(name).InsertMany(bounded(t), append(bare, bad...)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		collection string
		call       func() (int, error)
		fault      string
	}{
		{"orders", func() (int, error) {
			page, err := orders.List(bounded(t), ports.OrderQuery{Limit: 3})
			return page.Unreadable, err
		}, "user_id is missing"},
		{"deliveries", func() (int, error) {
			list, err := deliveries.List(bounded(t), ports.NotificationQuery{Limit: 3})
			return list.Unreadable, err
		}, "id is of type string"},
		{"dead_letters", func() (int, error) {
			page, err := letters.List(bounded(t), ports.DeadLetterQuery{Limit: 3})
			return page.Unreadable, err
		}, "message_id is missing"},
		{"orders", func() (int, error) {
			events, err := orders.Claim(bounded(t), 20)
			return 20 - len(events), err
		}, "user_id is missing"},
	}
	for _, tt := range tests {
		log.Reset()
		if n, err := tt.call(); err != nil || n != 20 {
			t.Errorf("%s: %d records were skipped, error %v; want 20", tt.collection, n, err)
		}
		line := log.String()
		if strings.Count(line, "\n") != 1 || strings.Count(line, "level=WARN") != 1 {
			t.Errorf("%s: the log is %q, want one line of level WARN", tt.collection, line)
		}
		for _, part := range []string{"collection=" + tt.collection, "count=20", "record-00", "record-15", "record record-00 can't be read: " + tt.fault} {
			if !strings.Contains(line, part) {
				t.Errorf("%s: the log is %q, want it to contain %q", tt.collection, line, part)
			}
		}
		if strings.Contains(line, "record-16") {
			t.Errorf("%s: the log is %q, want 16 ids at most", tt.collection, line)
		}
	}
}

// If the server refuses to update a record that another program wrote, Put returns
// a permanent error.
func TestPutToUnreadableRecord(t *testing.T) {
	store := openNew(t)
	letters := store.DeadLetters()
	for i, failures := range []any{"text", nil, bson.M{"reason": "no"}, 7} {
		id := fmt.Sprint("letter ", i)
		_, err := store.Database().Collection("dead_letters").InsertOne(bounded(t), bson.M{"_id": id, "message_id": "m", "failures": failures})
		if err != nil {
			t.Fatal(err)
		}
		err = letters.Put(bounded(t), deadLetter(id, epoch))
		checkUnreadable(t, "put", err, id, "failures is of type ")
		if !ports.IsPermanent(err) {
			t.Errorf("put: got %v, want a permanent error", err)
		}
	}
	putLetter(t, letters, deadLetter("another", epoch))
}

// A claim finds unreadable orders of every kind among readable ones.
func TestClaimAmongUnreadableOrders(t *testing.T) {
	store := openWith(t, quiet)
	orders := store.Orders()
	outbox := bson.M{"free_at": time.Now().Add(-2 * time.Hour)}
	bad := spoiled(func() bson.M {
		d := document(newOrder(t, "ann", epoch))
		d["outbox"] = outbox
		return d
	}, "created_at", "product", "user_id")
	if _, err := store.Database().Collection("orders").InsertMany(bounded(t), bad); err != nil {
		t.Fatal(err)
	}
	want := backlog(t, store, 30)
	got, err := orders.Claim(bounded(t), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claimed (-want +got):\n%s", diff)
	}
	if err := orders.MarkPublished(bounded(t), eventIDs(got)...); err != nil {
		t.Fatal(err)
	}
	if got, err := orders.Claim(bounded(t), 1000); err != nil || len(got) > 0 {
		t.Errorf("claim afterwards: %d events, error %v; want none", len(got), err)
	}
}

func TestMethodsReturnTheSamePart(t *testing.T) {
	store := openWith(t, mongodb.Options{OutboxLease: time.Minute, DeliveryLease: time.Hour})
	orders, deliveries, letters := store.Orders(), store.Deliveries(), store.DeadLetters()
	if store.Orders() != orders || store.Deliveries() != deliveries || store.DeadLetters() != letters {
		t.Error("a method returns another part at the second call")
	}
	if orders.ClaimLease() != time.Minute || deliveries.ClaimLease() != time.Hour {
		t.Errorf("claims last %v in the outbox and %v in the delivery log, want the leases in Options", orders.ClaimLease(), deliveries.ClaimLease())
	}
}
