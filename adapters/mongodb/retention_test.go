package mongodb_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Expire deletes the claims, too, and the documents of earlier versions. It leaves the
// claims of other notifications.
func TestExpireDeletesClaims(t *testing.T) {
	store := openNew(t)
	log := store.Deliveries()
	for i := range 5 {
		order := newOrder(t, "ann", epoch)
		n := unsentOf(order, domain.Skipped)
		n.At = epoch.Add(time.Duration(i) * time.Hour)
		recordOf(t, log, order, n)
	}
	old := newOrder(t, "ann", epoch)
	id := bson.D{{Key: "event_id", Value: string(old.Created().ID)}, {Key: "channel", Value: "log"}}
	_, err := store.Database().Collection("deliveries").InsertOne(bounded(t), bson.M{"_id": id, "order_id": string(old.ID), "attempt": 1, "sent_at": epoch})
	if err != nil {
		t.Fatal(err)
	}
	hold(t, store)
	for _, want := range []int{2, 2, 0} {
		got, err := log.Expire(bounded(t), epoch.Add(3*time.Hour), 2)
		if err != nil || got != want {
			t.Errorf("expired %d, error %v; want %d", got, err, want)
		}
	}
	for collection, want := range map[string]int64{"deliveries": 2, "delivery_claims": 3} {
		if got, err := store.Database().Collection(collection).CountDocuments(bounded(t), bson.M{}); err != nil || got != want {
			t.Errorf("%d documents are left in %s, error %v; want %d", got, collection, err, want)
		}
	}
}

// A dead notification may be replayed when its record would expire.
func TestExpireKeepsClaimsInHand(t *testing.T) {
	store := openNew(t)
	log := store.Deliveries()
	order := newOrder(t, "ann", epoch)
	n := unsentOf(order, domain.Dead)
	recordOf(t, log, order, n)
	claim, err := log.Claim(bounded(t), n.Key())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := log.Expire(bounded(t), epoch.Add(time.Hour), 10); err != nil || got != 0 {
		t.Errorf("expired %d, error %v; want 0", got, err)
	}
	if _, err := log.Claim(bounded(t), n.Key()); !errors.Is(err, ports.ErrClaimed) {
		t.Errorf("claim it twice: got %v, want ErrClaimed", err)
	}
	if err := claim.Record(bounded(t), unsentOf(order, domain.Held), order.Created()); err != nil {
		t.Fatal(err)
	}
	if claimed := claimHeld(t, log, 10); len(claimed) != 1 {
		t.Errorf("%d are held, want the one that was dead", len(claimed))
	}
}

// A user may have more records than one command changes.
func TestForgetInBatches(t *testing.T) {
	store := openWith(t, quiet)
	log := store.Deliveries()
	const count = 2*ports.MaxListLimit + 10
	documents := func(user string, n int) []any {
		var all []any
		for i := range n {
			order := newOrder(t, user, epoch)
			d := bson.M{
				"_id":      bson.D{{Key: "event_id", Value: string(order.Created().ID)}, {Key: "channel", Value: "log"}},
				"order_id": string(order.ID), "user_id": user, "attempt": 1, "sent_at": epoch,
			}
			switch i % 4 {
			case 1:
				d["attempts"] = bson.A{bson.M{"at": epoch, "ms": 1, "outcome": "accepted", "answer": "for ann"}}
			case 2:
				d["wait"], d["state"] = bson.M{"channel": "log", "next_try": epoch}, "retrying" // unreadable
			case 3:
				delete(d, "sent_at") // unreadable, too
			}
			all = append(all, d)
		}
		return all
	}
	collection := store.Database().Collection("deliveries")
	for user, n := range map[string]int{"ann": count, "bob": 3} {
		if _, err := collection.InsertMany(bounded(t), documents(user, n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{count, 0} {
		if got, err := log.Forget(bounded(t), "ann"); err != nil || got != want {
			t.Errorf("forgot %d, error %v; want %d", got, err, want)
		}
	}
	for filter, want := range map[string]int64{"user_id": 3, "wait": 1} { // bob's
		if got, err := collection.CountDocuments(bounded(t), bson.M{filter: bson.M{"$exists": true}}); err != nil || got != want {
			t.Errorf("%d documents have the field %s, error %v; want %d", got, filter, err, want)
		}
	}
	if got, err := collection.CountDocuments(bounded(t), bson.M{"attempts.answer": "for ann"}); err != nil || got != 1 {
		t.Errorf("%d documents have an answer, error %v; want bob's", got, err)
	}
}

// Forget reads all dead letters, in batches, and skips those that it can't read.
func TestForgetDeadLettersInBatches(t *testing.T) {
	store := openWith(t, quiet)
	letters := store.DeadLetters()
	letterOf := func(order domain.Order) ports.DeadLetter {
		message, err := wire.Encode(order.Created())
		if err != nil {
			t.Fatal(err)
		}
		return wire.DeadLetter("", message, ports.Failure{Reason: "no " + order.UserID, Attempts: 5, FirstFailure: epoch, LastFailure: epoch})
	}
	ann := map[string]bool{}
	for i := range 250 {
		order := newOrder(t, []string{"ann", "bob"}[i%2], epoch)
		letter := letterOf(order)
		putLetter(t, letters, letter)
		if order.UserID == "ann" {
			ann[letter.ID] = true
		}
	}
	for _, strange := range []bson.M{{"_id": "a letter"}, {"_id": 7}} {
		if _, err := store.Database().Collection("dead_letters").InsertOne(bounded(t), strange); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{125, 0} {
		if got, err := letters.Forget(bounded(t), "ann"); err != nil || got != want {
			t.Errorf("forgot %d, error %v; want %d", got, err, want)
		}
	}
	for id := range ann {
		got, err := letters.Get(bounded(t), id)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Message.Body) > 0 || len(got.Message.Headers) > 0 || got.Failures[0].Reason != "" || got.State != ports.Discarded {
			t.Errorf("letter %s of a forgotten user: got %+v", id, got)
		}
	}
	page, err := letters.List(bounded(t), ports.DeadLetterQuery{State: ports.Waiting, Limit: ports.MaxListLimit})
	if err != nil || len(page.Records) != 125 {
		t.Errorf("%d letters wait, error %v; want bob's 125", len(page.Records), err)
	}
}

func TestSubscriptionOfDeadLetters(t *testing.T) {
	store := openNew(t)
	letter := deadLetter("letter", epoch)
	letter.Subscription = "email"
	putLetter(t, store.DeadLetters(), letter)
	if got := only(t, store, "dead_letters")["subscription"]; got != "email" {
		t.Errorf("subscription is stored as %v, want email", got)
	}
	got, err := store.DeadLetters().Get(bounded(t), "letter")
	if err != nil || got.Subscription != "email" {
		t.Errorf("got subscription %q, error %v; want email", got.Subscription, err)
	}
	page, err := store.DeadLetters().List(bounded(t), ports.DeadLetterQuery{Limit: 1})
	if err != nil || len(page.Records) != 1 || page.Records[0].Subscription != "email" {
		t.Errorf("listed %v, error %v; want the letter of the subscription email", page.Records, err)
	}
}

func TestContactDocument(t *testing.T) {
	store := openWith(t, quiet)
	contact := ports.Contact{
		UserID: "ann", Language: "de", Addresses: map[string]string{"email": "ann@example.com", "$a.b": "x"}, Off: []string{"webhook"}, UpdatedAt: epoch,
	}
	if err := store.Contacts().Put(bounded(t), ports.Contact{UserID: "ann"}, contact); err != nil { // the last one counts
		t.Fatal(err)
	}
	want := bson.M{
		"_id": "ann", "language": "de", "off": bson.A{"webhook"}, "updated_at": bson.NewDateTimeFromTime(epoch),
		"addresses": bson.A{
			bson.D{{Key: "channel", Value: "$a.b"}, {Key: "address", Value: "x"}},
			bson.D{{Key: "channel", Value: "email"}, {Key: "address", Value: "ann@example.com"}},
		},
	}
	if diff := cmp.Diff(want, only(t, store, "contacts")); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	if err := store.Contacts().Put(bounded(t), make([]ports.Contact, ports.MaxListLimit+1)...); err == nil || ports.IsPermanent(err) {
		t.Errorf("put too many contacts: got %v, want an error", err)
	}
}

func TestUnreadableContacts(t *testing.T) {
	store := openWith(t, quiet)
	contacts := store.Contacts()
	if err := contacts.Put(bounded(t), ports.Contact{UserID: "m", UpdatedAt: epoch}); err != nil {
		t.Fatal(err)
	}
	for i, spoil := range []bson.M{
		{"language": 7}, {"addresses": "x"}, {"addresses": bson.A{7}}, {"addresses": bson.A{bson.M{"channel": "x"}}},
		{"off": "x"}, {"off": bson.A{7}}, {"updated_at": "today"}, {"updated_at": nil},
	} {
		d := bson.M{"_id": fmt.Sprintf("%c%d", 'a'+rune(i%2)*20, i), "language": "", "addresses": bson.A{}, "off": bson.A{}, "updated_at": epoch}
		for name, value := range spoil {
			d[name] = value
		}
		if _, err := store.Database().Collection("contacts").InsertOne(bounded(t), d); err != nil {
			t.Fatal(err)
		}
		_, err := contacts.Get(bounded(t), d["_id"].(string))
		for name := range spoil {
			checkUnreadable(t, fmt.Sprint("get ", d), err, d["_id"].(string), name)
		}
	}
	page, err := contacts.List(bounded(t), 1, "")
	if err != nil || len(page.Contacts) != 1 || page.Contacts[0].UserID != "m" || page.Unreadable != 8 || page.NextCursor != "" {
		t.Errorf("got %+v, error %v; want the contact of m and 8 unreadable ones", page, err)
	}
}

func TestPauseDocument(t *testing.T) {
	store := openWith(t, quiet)
	states := store.ChannelStates()
	pause := ports.Pause{PauseKey: server, Kind: ports.Breaker, Reason: "no\xff", By: "", Since: epoch, Probe: epoch.Add(time.Minute), Probes: 2}
	if err := states.Pause(bounded(t), pause); err != nil {
		t.Fatal(err)
	}
	want := bson.M{
		"_id":  bson.D{{Key: "channel", Value: "email"}, {Key: "receiver", Value: "mail.example.com"}},
		"kind": "broken", "reason": "no\uFFFD", "by": "", "since": bson.NewDateTimeFromTime(epoch),
		"probe": bson.NewDateTimeFromTime(epoch.Add(time.Minute)), "probes": int32(2),
	}
	if diff := cmp.Diff(want, only(t, store, "pauses")); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	strange := []any{bson.M{"_id": "email"}, bson.M{"_id": bson.M{"channel": "x", "receiver": ""}, "kind": "paused"}}
	if _, err := store.Database().Collection("pauses").InsertMany(bounded(t), strange); err != nil {
		t.Fatal(err)
	}
	pauses, err := states.Pauses(bounded(t))
	if err != nil || len(pauses) != 1 {
		t.Fatalf("got %v, error %v; want the one that can be read", pauses, err)
	}
	if err := states.End(bounded(t), pauses[0]); err != nil {
		t.Errorf("end the pause as it was read: %v", err)
	}
}
