package mongodb_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// A check finds every fault at once, and leaves the database as it was.
func TestCheck(t *testing.T) {
	p := newProxy(t, databaseURL(t))
	check := func(o mongodb.Options) (faults []string) {
		t.Helper()
		found := mongodb.Check(bounded(t), p.url, o)
		if len(found) < 5 {
			t.Errorf("found only %+v", found)
		}
		for _, f := range found {
			if f.Fault != "" {
				faults = append(faults, f.What+" "+f.Value+": "+f.Fault+"; "+f.WayOut)
			}
		}
		return faults
	}
	want := func(faults []string, texts ...string) {
		t.Helper()
		if len(faults) != len(texts) {
			t.Errorf("found %q, want %q", faults, texts)
			return
		}
		for i, text := range texts {
			if !strings.Contains(faults[i], text) {
				t.Errorf("found %q, want %q", faults[i], text)
			}
		}
	}

	want(check(mongodb.Options{}))
	want(check(mongodb.Options{KeepIndexes: true}), "orders.newest_first")
	client, err := mongo.Connect(options.Client().ApplyURI(p.url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(bounded(t)) })
	_, name, _ := strings.Cut(strings.TrimPrefix(p.url, "mongodb://"), "/")
	name, _, _ = strings.Cut(name, "?")
	db := client.Database(name)
	if names, err := db.ListCollectionNames(bounded(t), bson.D{}); err != nil || len(names) > 0 {
		t.Errorf("the check has made %v, %v", names, err)
	}

	p.refuse(13, "createIndexes")
	want(check(mongodb.Options{}), "right createIndexes in orders: the server refuses it")
	p.Heal()

	store := open(t, p.url, mongodb.Options{})
	if err := store.Orders().Add(bounded(t), newOrder(t, "ann", epoch), domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	want(check(mongodb.Options{}))
	if n, err := db.Collection("orders").CountDocuments(bounded(t), bson.D{}); err != nil || n != 1 {
		t.Errorf("%d orders after a check, %v", n, err)
	}
	for _, index := range []string{"orders.waiting", "deliveries.due"} {
		collection, name, _ := strings.Cut(index, ".")
		if err := db.Collection(collection).Indexes().DropOne(bounded(t), name); err != nil {
			t.Fatal(err)
		}
	}
	want(check(mongodb.Options{}), "indexes 18 of 20: missing: orders.waiting, deliveries.due; build them by the command indexes")

	p.refuse(13, "insert", "delete")
	want(check(mongodb.Options{}),
		"right insert in orders, deliveries", "right remove in orders, deliveries, delivery_claims, dead_letters, contacts, channels, pauses, operator_actions, owners, counts, totals, openings: the server refuses it",
		"indexes 18 of 20")
	p.refuse(100, "update")
	faults := check(mongodb.Options{})
	if !strings.HasPrefix(faults[0], "write concern") || !strings.Contains(faults[0], "bring up enough members") {
		t.Errorf("without a majority: %q", faults)
	}
	for _, apart := range []time.Duration{time.Hour, -time.Hour} {
		p.Heal()
		answer := answers(func(command bson.Raw) bson.D {
			if _, err := command.LookupErr("hello"); err != nil {
				return nil
			}
			return bson.D{
				{Key: "ok", Value: 1}, {Key: "localTime", Value: time.Now().Add(apart)}, {Key: "isWritablePrimary", Value: true}, {Key: "helloOk", Value: true},
				{Key: "maxWireVersion", Value: 21}, {Key: "minWireVersion", Value: 0}, {Key: "maxBsonObjectSize", Value: 16 << 20},
				{Key: "maxMessageSizeBytes", Value: 48_000_000}, {Key: "maxWriteBatchSize", Value: 100_000},
			}
		})
		p.answers.Store(&answer)
		faults := check(mongodb.Options{})
		if len(faults) != 2 || !strings.HasPrefix(faults[0], "clock the server's is ") || !strings.Contains(faults[0], "NTP") {
			t.Errorf("clocks that are %v apart: %q", apart, faults)
		}
	}
}

// A server that can't be used has one fault, which shows no password.
func TestCheckUnusable(t *testing.T) {
	for name, tt := range map[string]struct{ url, want string }{
		"wrong URL":      {"mongodb://u:hunter2@localhost:1/d?w=1", "w: the adapter sets it to majority"},
		"nobody listens": {"mongodb://u:hunter2@localhost:1/d?serverSelectionTimeoutMS=200", "refused"},
	} {
		found := mongodb.Check(bounded(t), tt.url, mongodb.Options{})
		if len(found) != 1 || !strings.Contains(found[0].Fault, tt.want) || found[0].WayOut == "" {
			t.Errorf("%s: found %+v, want one fault with %q", name, found, tt.want)
		}
		if slices.ContainsFunc(found, func(f ports.Finding) bool { return strings.Contains(f.Value+f.Fault+f.WayOut, "hunter2") }) {
			t.Errorf("%s: the password is shown: %+v", name, found)
		}
	}
}
