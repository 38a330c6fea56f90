package mongodb_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// server is the pause that holds all e-mails.
var server = domain.PauseKey{Channel: "email", Receiver: "mail.example.com"}

// unsentOf returns an e-mail to the order's user that is not sent.
func unsentOf(order domain.Order, state domain.NotificationState) domain.Notification {
	n := domain.Notification{
		EventID: order.Created().ID, Channel: "email", Recipient: domain.UserRecipient, OrderID: order.ID, UserID: order.UserID,
		State: state, Reason: "away", At: epoch, Receiver: "mail.example.com",
		Attempt: 1, First: epoch.Add(-time.Second),
		Attempts: []domain.Attempt{
			{At: epoch.Add(-time.Second), Duration: 12 * time.Millisecond, Outcome: domain.Refused, Code: "451", Answer: "later"},
			{At: epoch, Duration: time.Millisecond, Outcome: domain.Unreachable},
		},
	}
	if state.Waits() {
		n.NextTry = epoch.Add(time.Minute)
	}
	if state == domain.Held {
		n.HeldBy = server
	}
	return n
}

// recordOf claims and records the notification of the order.
func recordOf(t *testing.T, log *mongodb.Deliveries, order domain.Order, n domain.Notification) {
	t.Helper()
	claim, err := log.Claim(bounded(t), n.Key())
	if err != nil {
		t.Fatal(err)
	}
	if err := claim.Record(bounded(t), n, order.Created()); err != nil {
		t.Fatal(err)
	}
}

// waitingOf records n notifications that wait, and returns their orders.
func waitingOf(t *testing.T, log *mongodb.Deliveries, n int, state domain.NotificationState) []domain.Order {
	t.Helper()
	var orders []domain.Order
	var wg sync.WaitGroup
	for range n {
		order := newOrder(t, "ann", epoch)
		orders = append(orders, order)
		wg.Go(func() { recordOf(t, log, order, unsentOf(order, state)) })
	}
	wg.Wait()
	return orders
}

func claimDue(t *testing.T, log *mongodb.Deliveries, limit int) []ports.WaitingDelivery {
	t.Helper()
	claimed, err := log.ClaimDue(bounded(t), "email", limit)
	if err != nil {
		t.Fatal(err)
	}
	return claimed
}

func claimHeld(t *testing.T, log *mongodb.Deliveries, limit int) []ports.WaitingDelivery {
	t.Helper()
	claimed, err := log.ClaimHeld(bounded(t), server, limit)
	if err != nil {
		t.Fatal(err)
	}
	return claimed
}

// only returns the only document of a collection.
func only(t *testing.T, store *mongodb.Store, collection string) bson.M {
	t.Helper()
	found, err := store.Database().Collection(collection).Find(bounded(t), bson.M{})
	if err != nil {
		t.Fatal(err)
	}
	var all []bson.M
	if err := found.All(bounded(t), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 {
		t.Fatalf("%d documents in %s, want 1", len(all), collection)
	}
	return all[0]
}

// The form of the documents must stay readable for ever. Only a sent notification has
// the field attempt: earlier versions know only sent ones.
func TestDocumentsOfEachState(t *testing.T) {
	at := func(after time.Duration) bson.DateTime { return bson.NewDateTimeFromTime(epoch.Add(after)) }
	for _, state := range domain.NotificationStates {
		t.Run(string(state), func(t *testing.T) {
			store := openNew(t)
			order := newOrder(t, "ann", epoch)
			n := unsentOf(order, state)
			want := bson.M{
				"_id":      bson.D{{Key: "event_id", Value: string(n.EventID)}, {Key: "channel", Value: "email"}, {Key: "recipient", Value: "user"}},
				"order_id": string(order.ID), "user_id": "ann", "sent_at": at(0), "first": at(-time.Second), "receiver": "mail.example.com",
				"attempts": bson.A{
					bson.D{{Key: "at", Value: at(-time.Second)}, {Key: "ms", Value: int64(12)}, {Key: "outcome", Value: "refused"}, {Key: "code", Value: "451"}, {Key: "answer", Value: "later"}},
					bson.D{{Key: "at", Value: at(0)}, {Key: "ms", Value: int64(1)}, {Key: "outcome", Value: "unreachable"}},
				},
			}
			if state == domain.Sent {
				n.Reason = ""
				want["attempt"] = int32(1)
			} else {
				want["state"], want["reason"], want["tries"] = string(state), "away", int32(1)
			}
			wait := bson.D{{Key: "channel", Value: "email"}, {Key: "next_try", Value: at(time.Minute)}}
			if state == domain.Held {
				wait = append(wait, bson.E{Key: "held_by", Value: bson.D{{Key: "channel", Value: "email"}, {Key: "receiver", Value: "mail.example.com"}}})
			}
			if state.Waits() {
				want["wait"] = append(wait, bson.E{Key: "event", Value: bson.D{
					{Key: "type", Value: "order.created"}, {Key: "time", Value: at(0)},
					{Key: "user_id", Value: "ann"}, {Key: "product", Value: "a lamp"}, {Key: "quantity", Value: int32(2)}, {Key: "created_at", Value: at(0)},
				}})
			}
			recordOf(t, store.Deliveries(), order, n)
			got := only(t, store, "deliveries")
			if delete(got, "late"); state.Waits() || state == domain.Dead {
				got = only(t, store, "deliveries")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
		})
	}
}

// Two processes share the waiting notifications that a dead one has claimed.
func TestWaitingClaimsEndWithTheirOwner(t *testing.T) {
	for name, claim := range map[string]func(*testing.T, *mongodb.Deliveries, int) []ports.WaitingDelivery{"due": claimDue, "held": claimHeld} {
		t.Run(name, func(t *testing.T) {
			url := databaseURL(t)
			dead, living, heir := open(t, url, byHand), open(t, url, byHand), open(t, url, byHand)
			waitingOf(t, dead.Deliveries(), 3, domain.Held)
			if claimed := claim(t, living.Deliveries(), 1); len(claimed) != 1 {
				t.Fatalf("the living process has claimed %d, want 1", len(claimed))
			}
			late := claim(t, dead.Deliveries(), 10)
			if len(late) != 2 {
				t.Fatalf("claimed %d, want the other two", len(late))
			}
			rounds(t, mongodb.MissedBeats-1, living, heir) // after the one in Open
			if claimed := claim(t, heir.Deliveries(), 10); len(claimed) > 0 {
				t.Errorf("claimed %d before their owner has missed enough beats, want none", len(claimed))
			}
			rounds(t, 2, living, heir)
			if claimed := claim(t, heir.Deliveries(), 10); len(claimed) != 2 {
				t.Errorf("claimed %d after their owner's death, want 2", len(claimed))
			}
			// The dead one was only paused.
			n := late[0].Notification
			n.State = domain.Dead
			if err := late[0].Claim.Record(bounded(t), n, late[0].Event); err != nil {
				t.Fatal(err)
			}
			page, err := heir.Deliveries().List(bounded(t), ports.NotificationQuery{States: []domain.NotificationState{domain.Held}, Limit: 10})
			if err != nil || len(page.Notifications) != 3 {
				t.Errorf("%d are held, error %v; want 3", len(page.Notifications), err)
			}
		})
	}
}

// Close frees the store's claims at once.
func TestCloseFreesWaitingClaims(t *testing.T) {
	url := databaseURL(t)
	rest := open(t, url, mongodb.Options{})
	closing, err := mongodb.Open(bounded(t), url, mongodb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	waitingOf(t, closing.Deliveries(), 2, domain.Retrying)
	if claimed := claimDue(t, closing.Deliveries(), 10); len(claimed) != 2 {
		t.Fatalf("claimed %d, want 2", len(claimed))
	}
	if err := closing.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if claimed := claimDue(t, rest.Deliveries(), 10); len(claimed) != 2 {
		t.Errorf("claimed %d of a closed store, want 2", len(claimed))
	}
}

// A claim with an invalid end, which a wrong clock has made, is free.
func TestWaitingClaimsWithAnInvalidEndAreFree(t *testing.T) {
	store := openNew(t)
	for _, end := range []any{"tomorrow", time.Now().Add(time.Hour), nil} {
		order := waitingOf(t, store.Deliveries(), 1, domain.Retrying)[0]
		_, err := store.Database().Collection("deliveries").UpdateOne(bounded(t), bson.M{"order_id": string(order.ID)},
			bson.M{"$set": bson.M{"wait.claim": bson.M{"token": "other", "free_at": end}}})
		if err != nil {
			t.Fatal(err)
		}
		if claimed := claimDue(t, store.Deliveries(), 10); len(claimed) != 1 || claimed[0].Event != order.Created() {
			t.Errorf("claimed %v with a claim that ends at %v, want the event of %s", claimed, end, order.ID)
		}
	}
}

// Unreadable records neither stop the claims of others, nor come first each time.
func TestUnreadableRecordsWait(t *testing.T) {
	var log bytes.Buffer
	store := openWith(t, mongodb.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	orders := waitingOf(t, store.Deliveries(), 8, domain.Retrying)
	for i, spoil := range []bson.M{
		{"$unset": bson.M{"wait.event": ""}},
		{"$set": bson.M{"wait.event.quantity": "two"}},
		{"$unset": bson.M{"wait.event.type": ""}},
		{"$set": bson.M{"wait.event.created_at": "today"}},
		{"$set": bson.M{"attempts": bson.A{7}}},
		{"$set": bson.M{"state": "lost"}},
		{"$set": bson.M{"order_id": 7}},
	} {
		spoil["$min"] = bson.M{"wait.next_try": epoch} // they are due first
		filter := bson.M{"_id.event_id": string(orders[i].Created().ID)}
		if _, err := store.Database().Collection("deliveries").UpdateOne(bounded(t), filter, spoil); err != nil {
			t.Fatal(err)
		}
	}
	claimed := claimDue(t, store.Deliveries(), 2)
	if len(claimed) != 1 || claimed[0].Event != orders[7].Created() {
		t.Errorf("claimed %v, want the event of %s", claimed, orders[7].ID)
	}
	if line := log.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, "collection=deliveries count=7") {
		t.Errorf("the log is %q, want one line that counts 7 records", line)
	}
	log.Reset()
	if claimed := claimDue(t, store.Deliveries(), 2); len(claimed) > 0 || log.Len() > 0 {
		t.Errorf("claimed %v and logged %q again, want nothing", claimed, log.String())
	}
}

// The records of many callers replace those that wait in few commands, and the
// records of batches with a late claim are right, too.
func TestManyRecordsOfWaiting(t *testing.T) {
	var r recorder
	store := openWith(t, mongodb.Monitored(r.monitor()))
	log := store.Deliveries()
	const count = 100
	waitingOf(t, log, count, domain.Held)
	claimed := claimHeld(t, log, count)
	forgotten := claimed[count-1].Notification.Key() // its record does not match any more
	if _, err := store.Database().Collection("deliveries").DeleteOne(bounded(t), bson.M{"_id.event_id": string(forgotten.EventID)}); err != nil {
		t.Fatal(err)
	}
	commands := r.during(func() {
		var wg sync.WaitGroup
		for _, waiting := range claimed {
			n := waiting.Notification
			n.State, n.Reason, n.NextTry, n.HeldBy = domain.Sent, "", time.Time{}, domain.PauseKey{}
			wg.Go(func() {
				if err := waiting.Claim.Record(bounded(t), n, waiting.Event); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	if updates := strings.Count(names(commands), "update"); updates > count/3 {
		t.Errorf("%d records were replaced by %d commands, want many by one", count, updates)
	}
	page, err := log.List(bounded(t), ports.NotificationQuery{States: []domain.NotificationState{domain.Sent}, Limit: ports.MaxListLimit})
	if err != nil || len(page.Notifications) != count {
		t.Errorf("%d are sent, error %v; want %d", len(page.Notifications), err, count)
	}
}

// A server refuses text that is not UTF-8, and answers may be long.
func TestAnswersAreCut(t *testing.T) {
	log := openNew(t).Deliveries()
	order := newOrder(t, "ann", epoch)
	n := unsentOf(order, domain.Retrying)
	n.Reason = "a\xff"
	for i := range domain.MaxAttempts + 5 {
		n.Attempts = append(n.Attempts, domain.Attempt{
			At: epoch.Add(time.Duration(i) * time.Second), Outcome: domain.Refused, Code: "\xfe", Answer: "\xff" + strings.Repeat("ü", domain.MaxAnswer),
		})
	}
	recordOf(t, log, order, n)
	want := n
	want.Reason = "a\uFFFD"
	want.Attempts = nil
	for _, a := range n.Attempts[len(n.Attempts)-domain.MaxAttempts:] {
		a.Code, a.Answer = "\uFFFD", "\uFFFD"+strings.Repeat("ü", (domain.MaxAnswer-3)/2)
		want.Attempts = append(want.Attempts, a)
	}
	page, err := log.List(bounded(t), ports.NotificationQuery{OrderID: order.ID, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]domain.Notification{want}, page.Notifications); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

// No query of the delivery log may read a whole collection.
func TestDeliveryQueriesUseIndexes(t *testing.T) {
	var r recorder
	store := openWith(t, mongodb.Monitored(r.monitor()))
	log := store.Deliveries()
	waitingOf(t, log, 50, domain.Held)
	var sent []any
	for range 2000 {
		order := newOrder(t, "bob", epoch)
		sent = append(sent, bson.M{
			"_id":      bson.D{{Key: "event_id", Value: string(order.Created().ID)}, {Key: "channel", Value: "log"}},
			"order_id": string(order.ID), "user_id": "bob", "attempt": 1, "sent_at": epoch,
		})
	}
	if _, err := store.Database().Collection("deliveries").InsertMany(bounded(t), sent); err != nil {
		t.Fatal(err)
	}
	page := func(query ports.NotificationQuery) func() error {
		return func() error {
			query.Limit = 10
			first, err := log.List(bounded(t), query)
			if err == nil && first.NextCursor != "" {
				query.Cursor = first.NextCursor
				_, err = log.List(bounded(t), query)
			}
			return err
		}
	}
	tests := []struct {
		name    string
		call    func() error
		command int // the one to explain
		index   string
	}{
		{"list", page(ports.NotificationQuery{}), 1, "latest_first"},
		{"list since", page(ports.NotificationQuery{From: epoch, To: epoch.Add(time.Hour)}), 1, "latest_first"},
		{"list of an order", page(ports.NotificationQuery{OrderID: "x"}), 0, "_id_"},
		{"list of a user", page(ports.NotificationQuery{UserID: "bob"}), 1, "user_latest_first"},
		{"list of held ones", page(ports.NotificationQuery{States: []domain.NotificationState{domain.Held}}), 1, "state_latest_first"},
		{
			"list of undelivered ones", page(ports.NotificationQuery{States: []domain.NotificationState{domain.Held, domain.Retrying, domain.Dead}}),
			1, "state_latest_first",
		},
		{"claim due ones", func() error { _, err := log.ClaimDue(bounded(t), "email", 5); return err }, 0, "due"},
		{"claim held ones", func() error { _, err := log.ClaimHeld(bounded(t), server, 5); return err }, 0, "held"},
		{"end of an owner", func() error { return store.EndOwner(bounded(t), "another") }, 1, "claim"},
		{"expire", func() error { _, err := log.Expire(bounded(t), epoch.Add(-time.Hour), 10); return err }, 0, "latest_first"},
		{"forget", func() error { _, err := log.Forget(bounded(t), "carl"); return err }, 0, "user_latest_first"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			commands := r.during(func() {
				if err := tt.call(); err != nil {
					t.Fatal(err)
				}
			})
			if len(commands) <= tt.command {
				t.Fatalf("sends %q, want at least %d commands", names(commands), tt.command+1)
			}
			checkPlan(t, store, commands[tt.command], tt.index)
		})
	}
}
