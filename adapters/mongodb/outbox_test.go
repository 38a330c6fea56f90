package mongodb_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// backlog adds n free events to the outbox, and returns them in the order of their
// free_at.
func backlog(t testing.TB, store *mongodb.Store, n int) []domain.Event {
	t.Helper()
	events := make([]domain.Event, n)
	documents := make([]bson.M, n)
	since := time.Now().Add(-time.Hour)
	for i := range n {
		user := "bob"
		if i%10 == 0 {
			user = "ann"
		}
		order := newOrder(t, user, epoch.Add(time.Duration(i*7919%n)*time.Second)) // not in the order of free_at
		events[i] = order.Created()
		documents[i] = document(order)
		documents[i]["outbox"] = bson.M{"free_at": since.Add(time.Duration(i) * time.Millisecond)}
	}
	if _, err := store.Database().Collection("orders").InsertMany(bounded(t), documents, options.InsertMany().SetOrdered(false)); err != nil {
		t.Fatal(err)
	}
	return events
}

func eventIDs(events []domain.Event) []domain.EventID {
	ids := make([]domain.EventID, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}

func TestClaimTakesLongestFreeFirst(t *testing.T) {
	store := openNew(t)
	orders := store.Orders()
	events := backlog(t, store, 2500) // more than one batch of a claim
	for _, limit := range []int{1, 99, 1000, 2000} {
		got, err := orders.Claim(bounded(t), limit)
		if err != nil {
			t.Fatal(err)
		}
		want := events[:min(limit, len(events))]
		events = events[len(want):]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("claim of %d (-want +got):\n%s", limit, diff)
		}
	}
	if len(events) > 0 {
		t.Errorf("%d events were not claimed", len(events))
	}
}

// insertClaimed inserts an order whose event another process has claimed until freeAt.
func insertClaimed(t *testing.T, store *mongodb.Store, freeAt any) domain.EventID {
	t.Helper()
	order := newOrder(t, "ann", epoch)
	d := document(order)
	d["outbox"] = bson.M{"free_at": freeAt, "claim": "another"}
	if _, err := store.Database().Collection("orders").InsertOne(bounded(t), d); err != nil {
		t.Fatal(err)
	}
	return order.Created().ID
}

// A claim is free if it ends later than any correct clock can have made it.
func TestClaimThatEndsTooLateIsFree(t *testing.T) {
	const lease = 20 * time.Second
	store := openWith(t, mongodb.Options{OutboxLease: lease})
	now := time.Now()
	latest := now.Add(lease + ports.MaxReleaseDelay)
	for _, ahead := range []time.Duration{time.Second, lease, lease + ports.MaxReleaseDelay - 30*time.Second} {
		insertClaimed(t, store, now.Add(ahead)) // not free
	}
	want := []domain.EventID{insertClaimed(t, store, now.Add(-time.Minute))}
	for _, ahead := range []time.Duration{30 * time.Second, time.Hour, 1000 * time.Hour} {
		want = append(want, insertClaimed(t, store, latest.Add(ahead)))
	}
	var got []domain.EventID
	for range want {
		events, err := store.Orders().Claim(bounded(t), 1)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, eventIDs(events)...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claimed one by one (-want +got):\n%s", diff)
	}
	if events, err := store.Orders().Claim(bounded(t), 10); err != nil || len(events) > 0 {
		t.Errorf("claim of the rest: %d events, error %v; want none", len(events), err)
	}
}

// A claim is also free if its end is not a time. Other claims and published events
// stay as they are.
func TestClaimWhoseEndIsNotATimeIsFree(t *testing.T) {
	store := openNew(t)
	if _, err := store.Database().Collection("orders").InsertOne(bounded(t), document(newOrder(t, "ann", epoch))); err != nil {
		t.Fatal(err)
	}
	insertClaimed(t, store, time.Now().Add(10*time.Second)) // not free
	var want []domain.EventID
	for _, freeAt := range []any{
		"x", "", nil, 5, 0.5, int64(7), true, bson.Timestamp{T: 1}, bson.M{}, bson.M{"x": 1}, bson.A{}, bson.A{"x"}, bson.NewObjectID(),
		bson.MinKey{}, bson.MaxKey{}, bson.Regex{Pattern: "x"}, bson.JavaScript("x"), bson.Undefined{}, bson.Binary{Data: []byte("x")}, decimal("1"),
	} {
		want = append(want, insertClaimed(t, store, freeAt))
	}
	var got []domain.EventID
	for _, limit := range []int{7, 1000, 1000} {
		events, err := store.Orders().Claim(bounded(t), limit)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, eventIDs(events)...)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claimed, each once (-want +got):\n%s", diff)
	}
}

func TestReleaseHasALatestTime(t *testing.T) {
	store := openNew(t)
	orders := store.Orders()
	order := newOrder(t, "ann", epoch)
	if err := orders.Add(bounded(t), order, domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Truncate(time.Millisecond)
	if err := orders.Release(bounded(t), before.Add(time.Hour), order.Created().ID); err != nil {
		t.Fatal(err)
	}
	var kept struct {
		Outbox struct {
			FreeAt time.Time `bson:"free_at"`
		} `bson:"outbox"`
	}
	if err := store.Database().Collection("orders").FindOne(bounded(t), bson.M{}).Decode(&kept); err != nil {
		t.Fatal(err)
	}
	if at := kept.Outbox.FreeAt; at.Before(before.Add(ports.MaxReleaseDelay)) || at.After(time.Now().Add(ports.MaxReleaseDelay)) {
		t.Errorf("event released for an hour is free after %v, want after %v", at.Sub(before), ports.MaxReleaseDelay)
	}
}

func TestClaimersShareWithoutOverlap(t *testing.T) {
	const claimers, total = 8, 2000
	store := openNew(t)
	want := eventIDs(backlog(t, store, total))
	var mu sync.Mutex
	var got []domain.EventID
	var wg sync.WaitGroup
	for i := range claimers {
		limit := 20 + 15*i // different limits, so that claimers win and lose parts of a batch
		wg.Go(func() {
			orders := store.Orders()
			for {
				events, err := orders.Claim(bounded(t), limit)
				if err != nil {
					t.Errorf("claim: %v", err)
					return
				}
				mu.Lock()
				got = append(got, eventIDs(events)...)
				mu.Unlock()
				if len(events) < limit { // no more events are free
					return
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d events claimed, %d of them different, want each of %d once",
			len(got), len(slices.Compact(slices.Clone(got))), total)
	}
}

// An unreadable order does not stop claims of others, now or later.
func TestClaimSkipsUnreadableOrders(t *testing.T) {
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))

	store := openNew(t)
	collection := store.Database().Collection("orders")
	longAgo := bson.M{"free_at": time.Now().Add(-24 * time.Hour)}
	bad := bson.A{
		bson.M{"_id": "no order", "outbox": longAgo},
		bson.M{"_id": int32(7), "outbox": longAgo},
		bson.M{"_id": bson.NewObjectID(), "quantity": "many", "outbox": longAgo},
	}
	if _, err := collection.InsertMany(bounded(t), bad); err != nil {
		t.Fatal(err)
	}
	want := backlog(t, store, 3)
	orders := store.Orders()
	for i := range want {
		got, err := orders.Claim(bounded(t), 1)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[i:i+1], got); diff != "" {
			t.Errorf("claim %d (-want +got):\n%s", i, diff)
		}
	}
	if got, err := orders.Claim(bounded(t), 10); err != nil || len(got) > 0 {
		t.Errorf("claim the rest: %v, error %v; want no events, because the unreadable ones stay claimed", got, err)
	}
	for _, name := range []string{"no order", "7", "ObjectID"} {
		if n := strings.Count(strings.ToLower(log.String()), strings.ToLower(name)); n == 0 {
			t.Errorf("the log does not name document %s:\n%s", name, log.String())
		}
	}
}

func TestMarkPublishedRemovesField(t *testing.T) {
	store := openNew(t)
	orders := store.Orders()
	events := backlog(t, store, 1500) // more than one batch
	strange := []domain.EventID{"", "x", events[0].ID + "x", domain.EventID(events[0].Order.ID) + "-shipped"}
	if err := orders.MarkPublished(bounded(t), append(strange, eventIDs(events[1:])...)...); err != nil {
		t.Fatal(err)
	}
	collection := store.Database().Collection("orders")
	var left []struct {
		ID string `bson:"_id"`
	}
	found, err := collection.Find(bounded(t), bson.M{"outbox": bson.M{"$exists": true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := found.All(bounded(t), &left); err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || left[0].ID != string(events[0].Order.ID) {
		t.Errorf("%d documents have the field outbox, want only the document of the unmarked event", len(left))
	}

	// A repetition succeeds, and the order stays as it is.
	if err := orders.MarkPublished(bounded(t), events[1].ID); err != nil {
		t.Error(err)
	}
	var got bson.M
	if err := collection.FindOne(bounded(t), bson.M{"_id": string(events[1].Order.ID)}).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := document(events[1].Order)
	want["quantity"], want["created_at"] = int32(2), bson.NewDateTimeFromTime(events[1].Order.CreatedAt) // as the driver decodes them
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

// No query may read a whole collection. The test explains the adapter's own
// commands.
func TestQueriesUseIndexes(t *testing.T) {
	var r recorder
	store := openWith(t, mongodb.Monitored(r.monitor()))
	backlog(t, store, 500)
	orders, deliveries := store.Orders(), store.Deliveries()
	all := func(t *testing.T, query ports.OrderQuery) ports.OrderPage {
		t.Helper()
		page, err := orders.List(bounded(t), query)
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	tests := []struct {
		name  string
		do    func(t *testing.T)
		index string
	}{
		{"claim", func(t *testing.T) {
			if _, err := orders.Claim(bounded(t), 10); err != nil {
				t.Fatal(err)
			}
		}, "waiting"},
		{"claim of events with an invalid end", func(t *testing.T) {
			if _, err := orders.Claim(bounded(t), 1000); err != nil {
				t.Fatal(err)
			}
		}, "waiting"},
		{"end of an owner", func(t *testing.T) {
			if err := store.EndOwner(bounded(t), "another"); err != nil {
				t.Fatal(err)
			}
		}, "waiting"},
		{"list, next page", func(t *testing.T) {
			all(t, ports.OrderQuery{Limit: 10, Cursor: all(t, ports.OrderQuery{Limit: 10}).NextCursor})
		}, "newest_first"},
		{"list of a user", func(t *testing.T) { all(t, ports.OrderQuery{UserID: "ann", Limit: 10}) }, "user_newest_first"},
		{"list of a user, next page", func(t *testing.T) {
			query := ports.OrderQuery{UserID: "ann", Limit: 10}
			query.Cursor = all(t, query).NextCursor
			all(t, query)
		}, "user_newest_first"},
		{"list of a period", func(t *testing.T) {
			all(t, ports.OrderQuery{CreatedFrom: epoch, CreatedTo: epoch.Add(time.Hour), Limit: 10})
		}, "newest_first"},
		{"list of a user and a period, next page", func(t *testing.T) {
			query := ports.OrderQuery{UserID: "ann", CreatedFrom: epoch, CreatedTo: epoch.Add(time.Hour), Limit: 10}
			query.Cursor = all(t, query).NextCursor
			all(t, query)
		}, "user_newest_first"},
		{"deliveries of an order", func(t *testing.T) {
			if _, err := deliveries.List(bounded(t), ports.NotificationQuery{OrderID: "x"}); err != nil {
				t.Fatal(err)
			}
		}, "_id_"},
		{"dead letters of an order", func(t *testing.T) {
			if _, err := store.DeadLetters().List(bounded(t), ports.DeadLetterQuery{State: ports.Waiting, OrderID: "x", Limit: 10}); err != nil {
				t.Fatal(err)
			}
		}, "_id_"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var explained bson.Raw
			for _, command := range r.during(func() { tt.do(t) }) {
				switch names([]bson.Raw{command}) {
				case "find":
					explained = command
				case "update":
					if explained == nil { // Claim updates only documents that it has found
						explained = command
					}
				}
			}
			checkPlan(t, store, explained, tt.index)
		})
	}
}

// checkPlan checks that the command uses the index, and no other one.
func checkPlan(t *testing.T, store *mongodb.Store, command bson.Raw, index string) {
	t.Helper()
	var find bson.D
	if names([]bson.Raw{command}) == "update" {
		find = bson.D{{Key: "find", Value: command.Lookup("update")}, {Key: "filter", Value: command.Lookup("updates", "0", "q")}}
	} else if err := bson.Unmarshal(command, &find); err != nil {
		t.Fatal(err)
	}
	find = slices.DeleteFunc(find, func(e bson.E) bool { // added by the driver
		return strings.HasPrefix(e.Key, "$") || slices.Contains([]string{"lsid", "maxTimeMS", "readConcern"}, e.Key)
	})
	plan, err := store.Database().RunCommand(bounded(t), bson.D{{Key: "explain", Value: find}}).Raw()
	if err != nil {
		t.Fatal(err)
	}
	if used := indexesUsed(t, plan); !slices.Equal(used, []string{index}) {
		t.Errorf("uses %q, want only %s; plan: %s", used, index, plan)
	}
}

// indexesUsed returns the names of the indexes in a plan of MongoDB or FerretDB, and
// "COLLSCAN" if it reads the whole collection.
func indexesUsed(t *testing.T, explained bson.Raw) []string {
	t.Helper()
	plan, err := explained.LookupErr("queryPlanner", "winningPlan")
	if err != nil {
		plan, err = explained.LookupErr("queryPlanner", "Plan")
	}
	if err != nil {
		t.Fatalf("no plan in %s", explained)
	}
	used := make(map[string]bool)
	var walk func(value bson.RawValue)
	walk = func(value bson.RawValue) {
		document, ok := value.DocumentOK()
		if array, isArray := value.ArrayOK(); isArray {
			document, ok = bson.Raw(array), true
		}
		if !ok {
			return
		}
		elements, err := document.Elements()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range elements {
			text, _ := e.Value().StringValueOK()
			switch e.Key() {
			case "indexName", "Index Name":
				used[text] = true
			case "stage", "Node Type":
				if text == "COLLSCAN" || text == "Seq Scan" {
					used["COLLSCAN"] = true
				}
			case "IndexCosts": // the indexes that FerretDB considered
			default:
				walk(e.Value())
			}
		}
	}
	walk(plan)
	var names []string
	for name := range used {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// An origin that another program wrote loses no event.
func TestClaimReadsForeignOrigins(t *testing.T) {
	store := openNew(t)
	whole := bson.M{"request_id": "id", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b", "other": 1}
	for _, tt := range []struct {
		stored any
		want   domain.Origin
	}{
		{nil, domain.Origin{}},
		{"id", domain.Origin{}},
		{bson.A{whole}, domain.Origin{}},
		{bson.M{}, domain.Origin{}},
		{bson.M{"request_id": 7, "traceparent": bson.M{}, "tracestate": bson.A{}}, domain.Origin{}},
		{bson.M{"request_id": "id", "traceparent": strings.Repeat("x", 1000)}, domain.Origin{RequestID: "id"}},
		{whole, domain.Origin{RequestID: "id", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=b"}},
	} {
		order := newOrder(t, "ann", epoch)
		d := document(order)
		d["outbox"] = bson.M{"free_at": epoch, "origin": tt.stored}
		if _, err := store.Database().Collection("orders").InsertOne(bounded(t), d); err != nil {
			t.Fatal(err)
		}
		got, err := store.Orders().Claim(bounded(t), 10)
		if err != nil {
			t.Fatal(err)
		}
		want := order.Created()
		want.Origin = tt.want
		if diff := cmp.Diff([]domain.Event{want}, got); diff != "" {
			t.Errorf("origin %v (-want +got):\n%s", tt.stored, diff)
		}
	}
}
