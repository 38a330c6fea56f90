package cmd_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Every order that was answered with 201 is notified, although both services are
// killed under load, again and again. At most prefetch notifications are repeated for
// each killed notifier: those sent, but not recorded.
func TestKilled(t *testing.T) {
	t.Parallel()
	testKilled(t, servers(t))
}

// The same holds when both services share one file.
func TestKilledOnOneFile(t *testing.T) {
	t.Parallel()
	testKilled(t, oneFile(t))
}

func testKilled(t *testing.T, settings []string) {
	orders, notifications := freeAddress(t), freeAddress(t)
	startOrder := func() *process { return start(t, "order", append(settings, "--addr="+orders)...) }
	const prefetch = 200
	startNotifier := func() *process {
		return start(t, "notification", append(settings, "--addr="+notifications, fmt.Sprint("--prefetch=", prefetch))...)
	}
	order, notifier := startOrder(), startNotifier()
	awaitReady(t, orders)
	awaitReady(t, notifications)

	load := startLoad(t, orders, 8)
	var logs strings.Builder
	kill := func(p *process) {
		t.Helper()
		p.stop(t, syscall.SIGKILL)
		if p.name == "notification" {
			logs.WriteString(p.out.String())
		}
	}
	const rounds = 3 // each kills both services
	for range rounds {
		load.awaitMore(t, 300)
		kill(order)
		order = startOrder()
		load.awaitMore(t, 300)
		kill(notifier)
		notifier = startNotifier()
	}
	load.awaitMore(t, 300)
	placed := load.stop()
	awaitSent(t, notifications, placed)
	order.stopWell(t, syscall.SIGTERM)
	notifier.stopWell(t, syscall.SIGTERM)

	logs.WriteString(notifier.out.String())
	repeated := 0
	for id, n := range notificationLines(logs.String()) {
		if n > 1 && placed[id] {
			repeated++
		}
	}
	if repeated > rounds*prefetch {
		t.Errorf("%d notifications were repeated, want %d at most after %d kills", repeated, rounds*prefetch, rounds)
	}
	t.Logf("%d orders placed, all notified; %d notifications repeated by %d kills", len(placed), repeated, rounds)
}

// Within 15 s of a process's kill, another one or its restart handles the events and
// deliveries that it had claimed.
func TestClaimsOfTheKilled(t *testing.T) {
	const within = 15 * time.Second
	for _, victim := range []string{"order", "notification"} {
		for _, another := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, another runs: %v", victim, another), func(t *testing.T) {
				t.Parallel() // it waits most of the time
				settings := servers(t)
				db := openDatabase(t, settings)
				address := map[string]string{"order": freeAddress(t), "notification": freeAddress(t)}
				begin := func(name, address string) (p *process, owner string) {
					t.Helper()
					before := owners(t, db)
					p = start(t, name, append(settings, "--addr="+address)...)
					awaitReady(t, address)
					for id := range owners(t, db) {
						if !before[id] {
							owner = id
						}
					}
					return p, owner
				}
				for name, at := range address {
					if name != victim {
						begin(name, at)
					}
				}
				killed, owner := begin(victim, address[victim])
				reader := address["notification"]
				if another {
					at := freeAddress(t)
					begin(victim, at)
					if victim == "notification" {
						reader = at
					}
				}

				// Kill it until it had claimed something at the kill.
				for deadline := time.Now().Add(patience); ; {
					load := startLoad(t, address["order"], 8)
					load.awaitMore(t, 100)
					killed.stop(t, syscall.SIGKILL)
					death := time.Now()
					placed := load.stop()
					claims := openClaims(t, db, owner)
					if !another {
						time.Sleep(time.Until(death.Add(time.Second))) // a supervisor's pause
						killed, owner = begin(victim, address[victim])
					}
					took := awaitSent(t, reader, placed).Sub(death)
					if took > within {
						t.Errorf("the last of %d orders is notified %v after the kill, want %v at most", len(placed), took, within)
					}
					if claims > 0 {
						t.Logf("%d orders, with %d claims at the kill, are notified after %v", len(placed), claims, took)
						return
					}
					if time.Now().After(deadline) {
						t.Fatalf("%s had claimed nothing at any kill", victim)
					}
					if another {
						killed, owner = begin(victim, address[victim])
					}
				}
			})
		}
	}
}

// openDatabase returns the database that the settings name.
func openDatabase(t *testing.T, settings []string) *mongo.Database {
	t.Helper()
	store, err := url.Parse(strings.TrimPrefix(settings[0], "--store="))
	if err != nil {
		t.Fatal("the store's URL can't be read")
	}
	client, err := mongo.Connect(options.Client().ApplyURI(store.String()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client.Database(strings.TrimPrefix(store.Path, "/"))
}

// owners returns the ids of the processes that have opened the store.
func owners(t *testing.T, db *mongo.Database) map[string]bool {
	t.Helper()
	ids := make(map[string]bool)
	for _, d := range all(t, db.Collection("owners"), bson.M{}) {
		ids[d.Lookup("_id").StringValue()] = true
	}
	return ids
}

// openClaims returns the number of events and deliveries that the owner has claimed,
// but neither marked nor recorded.
func openClaims(t *testing.T, db *mongo.Database, owner string) int {
	t.Helper()
	its := bson.M{"$gt": owner + ".", "$lt": owner + "/"}
	events := all(t, db.Collection("orders"), bson.M{"outbox.claim": its})
	ids := bson.A{}
	for _, claim := range all(t, db.Collection("delivery_claims"), bson.M{"token": its}) {
		ids = append(ids, claim.Lookup("_id"))
	}
	recorded := all(t, db.Collection("deliveries"), bson.M{"_id": bson.M{"$in": ids}})
	return len(events) + len(ids) - len(recorded)
}

func all(t *testing.T, collection *mongo.Collection, filter bson.M) []bson.Raw {
	t.Helper()
	var documents []bson.Raw
	found, err := collection.Find(t.Context(), filter)
	if err == nil {
		err = found.All(t.Context(), &documents)
	}
	if err != nil {
		t.Fatal(err)
	}
	return documents
}
