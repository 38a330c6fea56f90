package mongodb_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/ports"
)

// deadLetter returns a letter whose last failure is at that time.
func deadLetter(id string, at time.Time) ports.DeadLetter {
	return ports.DeadLetter{
		ID: id,
		Message: ports.Message{
			ID: "message", ContentType: "application/json", Headers: map[string]string{"x.y": "1", "$set": "2"}, Body: []byte("{}"),
		},
		Failure: ports.Failure{Reason: "no", Attempts: 5, FirstFailure: epoch.Add(-time.Hour), LastFailure: at},
	}
}

// deadLetterRecord returns the record of deadLetter after its Put.
func deadLetterRecord(id string, at time.Time) ports.DeadLetterRecord {
	letter := deadLetter(id, at)
	return ports.DeadLetterRecord{
		ID: id, Message: letter.Message, Failures: []ports.Failure{letter.Failure}, State: ports.Waiting, Since: letter.Failure.FirstFailure,
	}
}

func putLetter(t *testing.T, letters *mongodb.DeadLetters, letter ports.DeadLetter) {
	t.Helper()
	if err := letters.Put(bounded(t), letter); err != nil {
		t.Fatal(err)
	}
}

func TestDeadLetterDocument(t *testing.T) {
	store := openNew(t)
	letters := store.DeadLetters()
	kept := func() bson.M {
		t.Helper()
		var document bson.M
		if err := store.Database().Collection("dead_letters").FindOne(bounded(t), bson.M{}).Decode(&document); err != nil {
			t.Fatal(err)
		}
		return document
	}
	putLetter(t, letters, deadLetter("letter", epoch))
	first, last := bson.NewDateTimeFromTime(epoch.Add(-time.Hour)), bson.NewDateTimeFromTime(epoch)
	want := bson.M{
		"_id": "letter", "message_id": "message", "content_type": "application/json",
		"headers": bson.A{
			bson.D{{Key: "name", Value: "$set"}, {Key: "value", Value: "2"}},
			bson.D{{Key: "name", Value: "x.y"}, {Key: "value", Value: "1"}},
		},
		"body": bson.Binary{Data: []byte("{}")},
		"failures": bson.A{bson.D{
			{Key: "reason", Value: "no"}, {Key: "attempts", Value: int32(5)},
			{Key: "first_failure", Value: first}, {Key: "last_failure", Value: last},
		}},
		"since": first, "state": "waiting", "reason_group": "no",
	}
	if diff := cmp.Diff(want, kept()); diff != "" {
		t.Errorf("put (-want +got):\n%s", diff)
	}

	before := time.Now().Truncate(time.Millisecond)
	if err := letters.Settle(bounded(t), deadLetterRecord("letter", epoch), ports.Discarded, "me"); err != nil {
		t.Fatal(err)
	}
	got := kept()
	settledAt, _ := got["settled_at"].(bson.DateTime)
	forgetAt, _ := got["forget_at"].(bson.DateTime)
	if at := settledAt.Time(); at.Before(before) || at.After(time.Now()) {
		t.Errorf("settled at %v, want from %v to now", at, before)
	}
	if d := forgetAt.Time().Sub(settledAt.Time()); d != ports.DeadLetterRetention {
		t.Errorf("forget_at is %v after settled_at, want %v", d, ports.DeadLetterRetention)
	}
	want["state"], want["settled_at"], want["settled_by"], want["forget_at"] = "discarded", settledAt, "me", forgetAt
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settled (-want +got):\n%s", diff)
	}
}

func TestDeadLetterDocumentWithEveryProperty(t *testing.T) {
	store := openNew(t)
	letter := deadLetter("letter", epoch)
	m := &letter.Message
	m.ContentEncoding, m.CorrelationID, m.ReplyTo, m.Type, m.AppID, m.Timestamp = "gzip", "c", "r", "t", "a", epoch
	putLetter(t, store.DeadLetters(), letter)
	var got bson.M
	if err := store.Database().Collection("dead_letters").FindOne(bounded(t), bson.M{}).Decode(&got); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]any{
		"content_encoding": "gzip", "correlation_id": "c", "reply_to": "r", "type": "t", "app_id": "a", "timestamp": bson.NewDateTimeFromTime(epoch),
	} {
		if diff := cmp.Diff(want, got[field]); diff != "" {
			t.Errorf("field %s (-want +got):\n%s", field, diff)
		}
	}
}

// The first version wrote no optional properties and no settled_by.
func TestDeadLettersOfFirstVersion(t *testing.T) {
	store := openNew(t)
	letters := store.DeadLetters()
	failure := bson.M{"reason": "no", "attempts": 1, "first_failure": epoch, "last_failure": epoch}
	document := bson.M{
		"_id": "letter", "message_id": "m", "content_type": "text/plain", "headers": bson.A{bson.M{"name": "x", "value": "y"}},
		"body": []byte("{}"), "since": epoch, "state": "discarded", "settled_at": epoch, "forget_at": time.Now().Add(time.Hour), "failures": bson.A{failure},
	}
	if _, err := store.Database().Collection("dead_letters").InsertOne(bounded(t), document); err != nil {
		t.Fatal(err)
	}
	want := ports.DeadLetterRecord{
		ID: "letter", Message: ports.Message{ID: "m", ContentType: "text/plain", Headers: map[string]string{"x": "y"}, Body: []byte("{}")},
		Failures: []ports.Failure{{Reason: "no", Attempts: 1, FirstFailure: epoch, LastFailure: epoch}},
		State:    ports.Discarded, Since: epoch, SettledAt: epoch,
	}
	got, err := letters.Get(bounded(t), "letter")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("letter (-want +got):\n%s", diff)
	}
	if err := letters.Settle(bounded(t), got, ports.Replayed, "me"); err != nil {
		t.Fatal(err)
	}
	page, err := letters.List(bounded(t), ports.DeadLetterQuery{State: ports.Replayed, Limit: 1})
	if err != nil || len(page.Records) != 1 || page.Records[0].SettledBy != "me" {
		t.Errorf("list after settling: %+v, error %v", page.Records, err)
	}
}

// The server deletes about once a minute.
func TestServerDeletesForgottenLetters(t *testing.T) {
	t.Parallel()
	store := openWith(t, mongodb.Options{DeadLetterRetention: time.Millisecond})
	letters := store.DeadLetters()
	for _, id := range []string{"waits", "settled"} {
		putLetter(t, letters, deadLetter(id, epoch))
	}
	if err := letters.Settle(bounded(t), deadLetterRecord("settled", epoch), ports.Discarded, "me"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		var all []bson.M
		found, err := store.Database().Collection("dead_letters").Find(bounded(t), bson.M{})
		if err != nil {
			t.Fatal(err)
		}
		if err := found.All(bounded(t), &all); err != nil {
			t.Fatal(err)
		}
		if len(all) == 1 && all[0]["_id"] == "waits" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d documents are left, want only the waiting one", len(all))
		}
	}
}

// One of the calls deletes the forgotten document, and none deletes the new one.
func TestConcurrentPutsOfForgottenLetter(t *testing.T) {
	letters := openWith(t, mongodb.Options{DeadLetterRetention: time.Nanosecond}).DeadLetters()
	const callers = 8
	for round := range 10 {
		id := fmt.Sprint("letter ", round)
		putLetter(t, letters, deadLetter(id, epoch))
		if err := letters.Settle(bounded(t), deadLetterRecord(id, epoch), ports.Replayed, "me"); err != nil {
			t.Fatal(err)
		}
		want := deadLetterRecord(id, epoch)
		for i := range callers - 1 {
			want.Failures = append(want.Failures, deadLetter(id, epoch.Add(time.Duration(i+1)*time.Second)).Failure)
		}
		ctx := bounded(t)
		var wg sync.WaitGroup
		for _, failure := range want.Failures {
			wg.Go(func() {
				if err := letters.Put(ctx, deadLetter(id, failure.LastFailure)); err != nil {
					t.Errorf("concurrent put: %v", err)
				}
			})
		}
		wg.Wait()
		got, err := letters.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("letter (-want +got):\n%s", diff)
		}
	}
}

// A retry can't mend the error, so it must not be ErrUnavailable.
func TestPutRefusesTooLargeLetter(t *testing.T) {
	letters := openNew(t).DeadLetters()
	for _, size := range []int{15 << 20, 16 << 20, 64 << 20} { // more than maxMessage, than a document and than a command may have
		letter := deadLetter("large", epoch)
		letter.Message.Body = bytes.Repeat([]byte("x"), size)
		err := letters.Put(bounded(t), letter)
		if !ports.IsPermanent(err) || errors.Is(err, ports.ErrUnavailable) {
			t.Fatalf("%d bytes: got %v, want a permanent error, not ErrUnavailable", size, err)
		}
		if !strings.HasPrefix(err.Error(), "put dead letter large: it takes ") || !strings.Contains(err.Error(), "15728640") {
			t.Errorf("%d bytes: got %q, want it to name the letter and the limit", size, err)
		}
	}

	// The largest letter leaves room for the reasons of all failures.
	for n, reason := range []int{0, ports.MaxFailures << 10} {
		letter := deadLetter("grows", epoch.Add(time.Duration(n)*time.Hour))
		letter.Message.Body = make([]byte, 15<<20-1000)
		letter.Failure.Reason = strings.Repeat("x", reason)
		putLetter(t, letters, letter)
	}
}

func TestReadingDeadLettersIsStrict(t *testing.T) {
	store := openNew(t)
	letters := store.DeadLetters()
	ctx := bounded(t)
	failure := func(d bson.M) bson.M { return d["failures"].(bson.A)[0].(bson.M) }
	tests := []struct {
		name  string
		spoil func(document bson.M)
		want  string // empty: no error
	}{
		{"valid", func(bson.M) {}, ""},
		{"unknown fields", func(d bson.M) { d["tag"] = "x"; failure(d)["tag"] = "x" }, ""},
		{"no message_id", func(d bson.M) { delete(d, "message_id") }, "message_id is missing"},
		{"no content_type", func(d bson.M) { delete(d, "content_type") }, "content_type is missing"},
		{"no headers", func(d bson.M) { delete(d, "headers") }, "headers is missing"},
		{"headers as a document", func(d bson.M) { d["headers"] = bson.M{} }, "headers is of type embedded document"},
		{"header as text", func(d bson.M) { d["headers"] = bson.A{"x"} }, "headers has an element of type string"},
		{"header without a value", func(d bson.M) { d["headers"] = bson.A{bson.M{"name": "x"}} }, "headers.value is missing"},
		{"body as text", func(d bson.M) { d["body"] = "{}" }, "body is of type string"},
		{"no failures", func(d bson.M) { delete(d, "failures") }, "failures is missing"},
		{"empty failures", func(d bson.M) { d["failures"] = bson.A{} }, "failures is empty"},
		{"failure without reason", func(d bson.M) { delete(failure(d), "reason") }, "failures.reason is missing"},
		{"attempts as text", func(d bson.M) { failure(d)["attempts"] = "1" }, "failures.attempts is of type string"},
		{"no last_failure", func(d bson.M) { delete(failure(d), "last_failure") }, "failures.last_failure is missing"},
		{"no state", func(d bson.M) { delete(d, "state") }, "state is missing"},
		{"since as text", func(d bson.M) { d["since"] = "now" }, "since is of type string"},
		{"reply_to as a number", func(d bson.M) { d["reply_to"] = 1 }, "reply_to is of type 32-bit integer"},
		{"timestamp as text", func(d bson.M) { d["timestamp"] = "now" }, "timestamp is of type string"},
		{"settled by a number", func(d bson.M) { d["state"], d["settled_at"], d["settled_by"] = "replayed", epoch, 1 }, "settled_by is of type 32-bit integer"},
		{"settled without settled_at", func(d bson.M) { d["state"] = "replayed" }, "settled_at is missing"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := fmt.Sprint("letter ", i)
			d := bson.M{
				"_id": id, "message_id": "m", "content_type": "text/plain", "headers": bson.A{bson.M{"name": "x", "value": "y"}},
				"body": []byte("{}"), "since": epoch, "state": "waiting",
				"failures": bson.A{bson.M{"reason": "no", "attempts": 1, "first_failure": epoch, "last_failure": epoch}},
			}
			tt.spoil(d)
			if _, err := store.Database().Collection("dead_letters").InsertOne(ctx, d); err != nil {
				t.Fatal(err)
			}
			_, err := letters.Get(ctx, id)
			checkUnreadable(t, "get", err, id, tt.want)
		})
	}
}
