package mongodb_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestWaitingEvents(t *testing.T) {
	orders := openNew(t).Orders()
	ctx := bounded(t)
	var ids []domain.EventID
	for range 4 {
		order := newOrder(t, "ann", epoch)
		ids = append(ids, order.Created().ID)
		if err := orders.Add(ctx, order, domain.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(orders.MarkPublished(ctx, ids[1]), orders.Release(ctx, epoch, ids[2])); err != nil {
		t.Fatal(err)
	}
	got, err := orders.Waiting(ctx, ids[1], ids[2], newOrder(t, "ann", epoch).Created().ID, "foreign")
	if diff := cmp.Diff([]domain.EventID{ids[2]}, got); err != nil || diff != "" {
		t.Errorf("error %v, events (-want +got):\n%s", err, diff)
	}
}

func TestClaimWaiting(t *testing.T) {
	log := openNew(t).Deliveries()
	ctx, event := bounded(t), newOrder(t, "ann", epoch).Created()
	n := domain.Notification{
		EventID: event.ID, Channel: "email", Recipient: "user", OrderID: event.Order.ID, State: domain.Retrying, At: epoch, NextTry: time.Now().Add(time.Hour),
	}
	if _, err := log.ClaimWaiting(ctx, n.Key()); !errors.Is(err, ports.ErrNotFound) {
		t.Errorf("without a record: error %v, want ErrNotFound", err)
	}
	claim, err := log.Claim(ctx, n.Key())
	if err == nil {
		err = claim.Record(ctx, n, event)
	}
	if err == nil {
		claim, err = log.ClaimWaiting(ctx, n.Key())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.ClaimWaiting(ctx, n.Key()); !errors.Is(err, ports.ErrNotFound) {
		t.Errorf("while it is claimed: error %v, want ErrNotFound", err)
	}
	n.State, n.NextTry = domain.Sent, time.Time{}
	if err := claim.Record(ctx, n, event); err != nil {
		t.Fatal(err)
	}
	if _, err := log.ClaimWaiting(ctx, n.Key()); !errors.Is(err, ports.ErrNotFound) {
		t.Errorf("when it is sent: error %v, want ErrNotFound", err)
	}
}

func TestImportedDeadLetter(t *testing.T) {
	letters := openNew(t).DeadLetters()
	ctx := bounded(t)
	settled := domain.TruncateTime(time.Now().Add(-time.Hour))
	record := deadLetterRecord("letter", epoch)
	record.State, record.SettledAt, record.SettledBy, record.Subscription = ports.Replayed, settled, "ann", "email"
	record.Since = epoch.Add(-2 * time.Hour)
	record.Failures = append(record.Failures, deadLetter("letter", epoch.Add(time.Minute)).Failure)
	check := func(what string, want ports.DeadLetterRecord) {
		t.Helper()
		got, err := letters.Get(ctx, "letter")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v, letter (-want +got):\n%s", what, err, diff)
		}
	}
	if err := letters.Import(ctx, record, record); !errors.Is(err, ports.ErrChanged) {
		t.Errorf("in place of none: error %v, want ErrChanged", err)
	}
	if err := letters.Import(ctx, ports.DeadLetterRecord{}, record); err != nil {
		t.Fatal(err)
	}
	check("first", record)
	other := record
	other.State, other.SettledAt, other.SettledBy = ports.Waiting, time.Time{}, ""
	if err := letters.Import(ctx, ports.DeadLetterRecord{}, other); !errors.Is(err, ports.ErrChanged) {
		t.Errorf("again: error %v, want ErrChanged", err)
	}
	if err := letters.Import(ctx, other, other); !errors.Is(err, ports.ErrChanged) {
		t.Errorf("in place of another: error %v, want ErrChanged", err)
	}
	check("unchanged", record)
	if err := letters.Import(ctx, record, other); err != nil {
		t.Fatal(err)
	}
	check("replaced", other)
	other.ID, other.Message.Body = "large", make([]byte, 17<<20)
	if err := letters.Import(ctx, ports.DeadLetterRecord{}, other); !ports.IsPermanent(err) {
		t.Errorf("a large one: error %v, want a permanent one", err)
	}
}
