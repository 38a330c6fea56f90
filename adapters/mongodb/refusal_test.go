package mongodb_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Every error code of the server is an outage, caused by no order or event. Calls
// succeed afterwards.
func TestEveryRefusalIsAnOutage(t *testing.T) {
	store, p := behindProxy(t, "")
	ctx := bounded(t)
	_, all := filled(ctx, t, store)
	for _, code := range []int{1, 2, 11, 13, 18, 20, 26, 59, 261, 365, 8000, 16500, 987654} {
		p.refuse(code, "insert", "update", "find", "delete")
		for name, call := range all {
			err := call(ctx)
			if !errors.Is(err, ports.ErrUnavailable) || ports.IsPermanent(err) {
				t.Errorf("%s refused with code %d: got %v, want ErrUnavailable", name, code, err)
			}
			if got, want := errors.Is(err, ports.ErrRefused), code == 13 || code == 18; got != want {
				t.Errorf("%s refused with code %d: got %v; ErrRefused: %v, want %v", name, code, err, got, want)
			}
		}
	}
	p.Heal()
	for name, call := range all {
		if err := call(ctx); err != nil {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
}

// An error about the document itself is permanent if the document holds the
// caller's data. Claims and records don't, so their refusal is an outage.
func TestDocumentFaultsArePermanent(t *testing.T) {
	store, p := behindProxy(t, "")
	ctx := bounded(t)
	_, all := filled(ctx, t, store)
	answer := answersWithWriteError(121, "Document failed validation")
	p.answers.Store(&answer)
	for _, name := range []string{"Add", "DeadLetters.Put"} {
		if err := all[name](ctx); !ports.IsPermanent(err) || errors.Is(err, ports.ErrUnavailable) {
			t.Errorf("%s of a document that fails the validator: got %v, want a permanent error", name, err)
		}
	}
	for _, name := range []string{"DeliveryLog.Claim", "Record"} {
		if err := all[name](ctx); ports.IsPermanent(err) || !errors.Is(err, ports.ErrUnavailable) {
			t.Errorf("%s of a document that fails the validator: got %v, want ErrUnavailable", name, err)
		}
	}
	p.Heal()
	if err := all["DeliveryLog.Claim"](ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Database().Collection("delivery_claims").UpdateMany(ctx, bson.M{}, bson.M{"$set": bson.M{"free_at": epoch}}); err != nil {
		t.Fatal(err)
	}
	answer = func(command bson.Raw) bson.D {
		if names([]bson.Raw{command}) != "update" {
			return nil
		}
		return answersWithWriteError(121, "Document failed validation")(command)
	}
	p.answers.Store(&answer)
	if err := all["DeliveryLog.Claim"](ctx); ports.IsPermanent(err) || !errors.Is(err, ports.ErrUnavailable) {
		t.Errorf("take over a claim that fails the validator: got %v, want ErrUnavailable", err)
	}
}

// A conflict with a unique index that somebody has added is not a duplicate _id.
func TestForeignUniqueIndex(t *testing.T) {
	store := openNew(t)
	ctx := bounded(t)
	for collection, key := range map[string]string{
		"orders": "user_id", "delivery_claims": "_id.channel", "deliveries": "_id.channel", "dead_letters": "state",
	} {
		_, err := store.Database().Collection(collection).Indexes().CreateOne(ctx, mongo.IndexModel{
			Keys: bson.D{{Key: key, Value: 1}}, Options: options.Index().SetUnique(true),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	order, other := newOrder(t, "ann", epoch), newOrder(t, "ann", epoch)
	deliveries := store.Deliveries()
	record := func(of domain.Order) error {
		n := domain.Notification{EventID: of.Created().ID, OrderID: of.ID, Channel: "mail", Attempt: 1, State: domain.Sent, At: epoch}
		claim, err := deliveries.Claim(ctx, keyOf(n.EventID, "mail"))
		if err != nil {
			return err
		}
		if _, err := store.Database().Collection("delivery_claims").DeleteMany(ctx, bson.M{}); err != nil {
			t.Fatal(err)
		}
		return claim.Record(ctx, n, domain.Event{})
	}
	calls := map[string]func(of domain.Order, id string) error{
		"Add":    func(of domain.Order, _ string) error { return store.Orders().Add(ctx, of, domain.Origin{}) },
		"Put":    func(_ domain.Order, id string) error { return store.DeadLetters().Put(ctx, deadLetter(id, epoch)) },
		"Record": func(of domain.Order, _ string) error { return record(of) },
		"Claim": func(of domain.Order, _ string) error {
			_, err := deliveries.Claim(ctx, keyOf(of.Created().ID, "log"))
			return err
		},
	}
	for _, name := range []string{"Add", "Put", "Record", "Claim"} {
		if err := calls[name](order, "letter"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err := calls[name](other, "other")
		if !errors.Is(err, ports.ErrUnavailable) || errors.Is(err, ports.ErrExists) || errors.Is(err, ports.ErrClaimed) || ctx.Err() != nil {
			t.Errorf("%s in conflict with a foreign index: got %v, want ErrUnavailable", name, err)
		}
		if !strings.Contains(fmt.Sprint(err), "uplicate key") {
			t.Errorf("%s in conflict with a foreign index: got %v, want the server's text", name, err)
		}
	}
	if err := store.Orders().Add(ctx, order, domain.Origin{}); !errors.Is(err, ports.ErrExists) {
		t.Errorf("add a known id: got %v, want ErrExists", err)
	}
}

// The insert finds a record, which is deleted before it is read.
func TestRecordIsDeletedMeanwhile(t *testing.T) {
	store, p := behindProxy(t, "")
	ctx := bounded(t)
	_, all := filled(ctx, t, store)
	record := all["Record"]
	answer := answersWithWriteError(11000, "E11000 duplicate key error collection: a.deliveries index: _id_ dup key: { }")
	p.answers.Store(&answer)
	if err := record(ctx); !errors.Is(err, ports.ErrUnavailable) || strings.Contains(err.Error(), "%!") {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	p.Heal()
	if err := record(ctx); err != nil {
		t.Errorf("record again: %v", err)
	}
}

// answersWithWriteError refuses the first document of each insert and update.
func answersWithWriteError(code int, message string) answers {
	return func(command bson.Raw) bson.D {
		if name := names([]bson.Raw{command}); name != "insert" && name != "update" {
			return nil
		}
		return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 0}, {Key: "writeErrors", Value: bson.A{
			bson.D{{Key: "index", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: message}},
		}}}
	}
}

// A server may answer the driver's ping although it refuses all work.
func TestPingFailsIfWritesFail(t *testing.T) {
	store, p := behindProxy(t, "")
	ctx := bounded(t)
	p.refuse(13, "insert", "update", "find", "delete")
	if err := store.Ping(ctx); !errors.Is(err, ports.ErrRefused) {
		t.Errorf("ping without the right to write: got %v, want ErrRefused", err)
	}
	answer := answers(func(command bson.Raw) bson.D {
		if names([]bson.Raw{command}) != "update" {
			return nil
		}
		return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 0}, {Key: "nModified", Value: 0}, {Key: "writeConcernError", Value: bson.D{
			{Key: "code", Value: 64}, {Key: "errmsg", Value: "waiting for replication timed out"},
		}}}
	})
	p.answers.Store(&answer)
	if err := store.Ping(ctx); !errors.Is(err, ports.ErrUnavailable) {
		t.Errorf("ping without the majority: got %v, want ErrUnavailable", err)
	}
	p.Heal()
	if err := store.Ping(ctx); err != nil {
		t.Errorf("ping afterwards: %v", err)
	}
}

// At the start, a person has to resolve a refusal; other errors may pass.
func TestOpenIsRefused(t *testing.T) {
	databaseURL(t)
	tests := []struct {
		code    int
		command string
		refused bool
	}{
		{18, "saslStart", true},
		{11, "saslStart", true},
		{334, "saslStart", true},
		{8000, "saslStart", true},
		{1, "saslStart", false},
		{91, "saslStart", false},
		{13, "update", true},
		{13, "createIndexes", true},
		{8000, "update", false},
		{16500, "createIndexes", false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.code, " to ", tt.command), func(t *testing.T) {
			p := newProxy(t, databaseURL(t))
			p.refuse(tt.code, tt.command)
			u, err := url.Parse(p.url)
			if err != nil {
				t.Fatal(err)
			}
			if tt.command == "saslStart" {
				u.User = url.UserPassword("nobody", "secret")
				u.RawQuery += "&authSource=admin&authMechanism=PLAIN" // the handshake does not include this login
			}
			_, err = mongodb.Open(bounded(t), u.String(), mongodb.Options{})
			if !errors.Is(err, ports.ErrUnavailable) || errors.Is(err, ports.ErrRefused) != tt.refused {
				t.Fatalf("got %v; want ErrUnavailable, and ErrRefused: %v", err, tt.refused)
			}
			if !strings.Contains(err.Error(), u.Host) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want it to name %s and no secret", err, u.Host)
			}
		})
	}
}

// Once the indexes exist, the right to create them is not needed.
func TestOpenWithoutTheRightToCreateIndexes(t *testing.T) {
	to := databaseURL(t)
	open(t, to, mongodb.Options{}) // creates the indexes
	p := newProxy(t, to)
	p.refuse(13, "createIndexes")
	store := open(t, p.url, mongodb.Options{})
	if err := store.Orders().Add(bounded(t), newOrder(t, "ann", epoch), domain.Origin{}); err != nil {
		t.Error(err)
	}
}

// A connection that is lost during the login is not a refusal.
func TestOpenLosesConnectionDuringLogin(t *testing.T) {
	p := newProxy(t, databaseURL(t))
	answer := answers(func(command bson.Raw) bson.D {
		if names([]bson.Raw{command}) == "saslStart" {
			p.Cut()
		}
		return nil
	})
	p.answers.Store(&answer)
	u, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("nobody", "secret")
	u.RawQuery += "&authSource=admin&authMechanism=PLAIN&serverSelectionTimeoutMS=500"
	if _, err := mongodb.Open(bounded(t), u.String(), mongodb.Options{}); !errors.Is(err, ports.ErrUnavailable) || errors.Is(err, ports.ErrRefused) {
		t.Errorf("got %v, want ErrUnavailable and not ErrRefused", err)
	}
}
