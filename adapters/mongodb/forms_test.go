package mongodb_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

var update = flag.Bool("update", false, "rewrite what the stored forms are read as")

const (
	formsFile  = "testdata/forms.json"         // documents as versions have stored them, by collection; only grows
	readAsFile = "testdata/forms_read_as.json" // what the ports return of them
)

type form struct {
	Form     string
	Document json.RawMessage
}

func storedForms(t *testing.T) (forms map[string][]form) {
	t.Helper()
	text, err := os.ReadFile(formsFile)
	if err == nil {
		err = json.Unmarshal(text, &forms)
	}
	if err != nil {
		t.Fatal(err)
	}
	return forms
}

func (f form) decode(t *testing.T) (document bson.D) {
	t.Helper()
	if err := bson.UnmarshalExtJSON(f.Document, true, &document); err != nil {
		t.Fatalf("%s: %v", f.Form, err)
	}
	return document
}

// Users' stores have documents of each form, so every later version must read them.
func TestReadsStoredForms(t *testing.T) {
	store := openNew(t)
	ctx := bounded(t)
	for collection, forms := range storedForms(t) {
		for _, form := range forms {
			if _, err := store.Database().Collection(collection).InsertOne(ctx, form.decode(t)); err != nil {
				t.Fatalf("%s: %v", form.Form, err)
			}
		}
	}
	orders, err1 := store.Orders().List(ctx, ports.OrderQuery{Limit: 100})
	events, err2 := store.Orders().Claim(ctx, 100)
	notifications, err3 := store.Deliveries().List(ctx, ports.NotificationQuery{Limit: 100})
	due, err4 := store.Deliveries().ClaimDue(ctx, "email", 100)
	listed, err5 := store.DeadLetters().List(ctx, ports.DeadLetterQuery{Limit: 100})
	var letters []ports.DeadLetterRecord
	for _, letter := range listed.Records {
		whole, err := store.DeadLetters().Get(ctx, letter.ID)
		err5 = errors.Join(err5, err)
		letters = append(letters, whole)
	}
	contact, err6 := store.Contacts().Get(ctx, "ann")
	pauses, err7 := store.ChannelStates().Pauses(ctx)
	acts, err8 := store.OperatorActions().List(ctx, ports.OperatorActionQuery{Limit: 100})
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8); err != nil {
		t.Fatal(err)
	}
	waiting := make(map[domain.EventID]domain.Event, len(due))
	for _, d := range due {
		waiting[d.Event.ID] = d.Event
	}
	checkReadAs(t, map[string]any{
		"orders": orders, "waiting_events": events, "notifications": notifications, "waiting_notifications": waiting,
		"dead_letters": letters, "contact": contact, "pauses": pauses, "operator_actions": acts,
	})
}

func checkReadAs(t *testing.T, read map[string]any) {
	t.Helper()
	got, err := json.MarshalIndent(read, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(readAsFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(readAsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("stored forms are read as (-before +now):\n%s", diff)
	}
}

// A form that this version stores must be among the stored forms, so that later
// versions read it.
func TestStoredFormsAreKept(t *testing.T) {
	store := openNew(t)
	ctx := bounded(t)
	fillForms(t, store)
	for collection, forms := range storedForms(t) {
		known := map[string]bool{}
		for _, form := range forms {
			addFields(known, "", form.decode(t))
		}
		found, err := store.Database().Collection(collection).Find(ctx, bson.M{})
		if err != nil {
			t.Fatal(err)
		}
		var documents []bson.D
		if err := found.All(ctx, &documents); err != nil || len(documents) == 0 {
			t.Fatalf("%s: %d documents, error %v", collection, len(documents), err)
		}
		written := map[string]bool{}
		for _, document := range documents {
			addFields(written, "", document)
		}
		for _, field := range slices.Sorted(maps.Keys(written)) {
			if !known[field] {
				t.Errorf("%s: no document in %s has the field %s; add one of this form", collection, formsFile, field)
			}
		}
	}
}

// addFields adds the fields' names with their types.
func addFields(to map[string]bool, within string, value any) {
	switch value := value.(type) {
	case bson.D:
		for _, field := range value {
			addFields(to, within+"."+field.Key, field.Value)
		}
	case bson.A:
		for _, element := range value {
			addFields(to, within+"[]", element)
		}
	default:
		to[fmt.Sprintf("%s of type %T", within, value)] = true
	}
}

// fillForms stores something of each kind, with all its fields.
func fillForms(t *testing.T, store *mongodb.Store) {
	t.Helper()
	ctx := t.Context()
	first, second := newOrder(t, "ann", epoch), newOrder(t, "ann", epoch)
	origin := domain.Origin{RequestID: "r-1", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "vendor=1"}
	err := errors.Join(store.Orders().Add(ctx, first, origin), store.Orders().Add(ctx, second, origin), store.Orders().Release(ctx, epoch, second.Created().ID))
	attempts := []domain.Attempt{{At: epoch, Duration: time.Millisecond, Outcome: domain.Refused, Code: "450", Answer: "busy"}}
	for i, state := range domain.NotificationStates {
		order := newOrder(t, "ann", epoch)
		n := domain.Notification{
			EventID: order.Created().ID, Channel: "email", Recipient: domain.UserRecipient, OrderID: order.ID, UserID: "ann", State: state,
			Reason: "reason", At: epoch, NextTry: epoch, Receiver: "mail.example.com", Attempt: i + 1, First: epoch, Attempts: attempts,
		}
		if state == domain.Held {
			n.HeldBy = domain.PauseKey{Channel: "email", Receiver: "mail.example.com"}
		}
		claim, claimErr := store.Deliveries().Claim(ctx, n.Key())
		if claimErr != nil {
			t.Fatal(claimErr)
		}
		event := order.Created()
		event.Origin = origin
		err = errors.Join(err, claim.Record(ctx, n, event))
	}
	failure := ports.Failure{Reason: "reason", Attempts: 1, FirstFailure: epoch, LastFailure: epoch}
	err = errors.Join(err, store.DeadLetters().Put(ctx, ports.DeadLetter{ID: "x", Subscription: "email", Failure: failure, Message: ports.Message{
		ID: "m", ContentType: "text/plain", ContentEncoding: "gzip", CorrelationID: "c", ReplyTo: "r", Type: "t", AppID: "a",
		Timestamp: epoch, Headers: map[string]string{"a": "b"}, Body: []byte("hello"),
	}}))
	record, getErr := store.DeadLetters().Get(ctx, "x")
	err = errors.Join(err, getErr, store.DeadLetters().Settle(ctx, record, ports.Discarded, "ann"),
		store.Contacts().Put(ctx, ports.Contact{UserID: "ann", Language: "en", Addresses: map[string]string{"email": "a@example.com"}, Off: []string{"webhook"}, UpdatedAt: epoch}),
		store.ChannelStates().Pause(ctx, ports.Pause{PauseKey: domain.PauseKey{Channel: "email"}, Kind: ports.Breaker, Reason: "503", Since: epoch, Probe: epoch, Probes: 1}),
		store.ChannelStates().Pause(ctx, ports.Pause{PauseKey: domain.PauseKey{Channel: "log"}, Kind: ports.Manual, By: "ann", Since: epoch}),
		store.OperatorActions().Begin(ctx, ports.OperatorAction{ID: "a", At: time.Now(), By: "ann", Action: "replay", Target: "all", Reason: "mended"}),
		store.OperatorActions().End(ctx, "a", ports.ActionEnd{EndedAt: time.Now(), Outcome: ports.ActionDone, Count: 1}))
	if err != nil {
		t.Fatal(err)
	}
}
