package sqlite

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// While the data is moved, no other store can open the file. After an end without EndMove,
// others can; after EndMove, only those that ask for it.
func TestMovedFile(t *testing.T) {
	ctx, url := t.Context(), scheme+filepath.Join(t.TempDir(), "orders.db")
	path := strings.TrimPrefix(url, scheme)
	refused := func(o Options, want string) {
		t.Helper()
		s, err := Open(ctx, url, o)
		if err == nil {
			s.Close(ctx)
		}
		if err == nil || !errors.Is(err, ports.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("open: error %v, want %q", err, want)
		}
	}
	closed := func(s *Store, errs ...error) {
		t.Helper()
		if err := errors.Join(append(errs, s.Close(ctx))...); err != nil {
			t.Fatal(err)
		}
	}

	one, other := openInside(t, path, Options{}), openInside(t, path, Options{})
	if err := one.BeginMove(ctx, "there"); !errors.Is(err, ports.ErrRefused) || !strings.Contains(err.Error(), "other processes have it open (1)") {
		t.Errorf("begin to move an open file: error %v", err)
	}
	closed(other)
	if err := one.EndMove(ctx, "there"); err == nil {
		t.Error("EndMove works without BeginMove")
	}
	if err := one.BeginMove(ctx, "there"); err != nil {
		t.Fatal(err)
	}
	refused(Options{}, "another process is moving its data to there")
	refused(Options{Moved: true}, "another process is moving its data to there")
	closed(one)

	one = openInside(t, path, Options{})
	if _, err := one.UndoMove(ctx); !errors.Is(err, ports.ErrNotFound) {
		t.Errorf("undo an interrupted move: error %v, want ErrNotFound", err)
	}
	closed(one, one.BeginMove(ctx, "there"), one.EndMove(ctx, "there"))
	refused(Options{}, "its data was moved to there on "+time.Now().UTC().Format(time.DateOnly))

	again := openInside(t, path, Options{Moved: true})
	closed(again, again.BeginMove(ctx, "elsewhere")) // interrupted
	refused(Options{}, "its data was moved to there")
	again = openInside(t, path, Options{Moved: true})
	closed(again, again.BeginMove(ctx, "elsewhere"), again.EndMove(ctx, "elsewhere"))
	back := openInside(t, path, Options{Moved: true})
	target, err := back.UndoMove(ctx)
	if target != "elsewhere" || err != nil {
		t.Errorf("undo returns %q, %v", target, err)
	}
	closed(back)
	openInside(t, path, Options{})
}

func TestWaitingEvents(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orders.db"), Options{})
	add(t, s, 0, 4)
	id := func(n int) domain.EventID { return newOrder(t, n).Created().ID }
	if err := errors.Join(s.Orders().MarkPublished(t.Context(), id(1)), s.Orders().Release(t.Context(), epoch, id(2))); err != nil {
		t.Fatal(err)
	}
	got, err := s.Orders().Waiting(t.Context(), id(1), id(2), id(3), id(9), "foreign")
	if diff := cmp.Diff([]domain.EventID{id(2), id(3)}, got); err != nil || diff != "" {
		t.Errorf("error %v, events (-want +got):\n%s", err, diff)
	}
}

func TestClaimWaiting(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orders.db"), Options{})
	ctx, event := t.Context(), newOrder(t, 1).Created()
	n := domain.Notification{
		EventID: event.ID, Channel: "email", Recipient: "user", OrderID: event.Order.ID, State: domain.Retrying, At: epoch,
		NextTry: time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC(),
	}
	if _, err := s.Deliveries().ClaimWaiting(ctx, n.Key()); !errors.Is(err, ports.ErrNotFound) {
		t.Errorf("without a record: error %v, want ErrNotFound", err)
	}
	claim, err := s.Deliveries().Claim(ctx, n.Key())
	if err == nil {
		err = claim.Record(ctx, n, event)
	}
	if err == nil {
		claim, err = s.Deliveries().ClaimWaiting(ctx, n.Key())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Deliveries().ClaimWaiting(ctx, n.Key()); !errors.Is(err, ports.ErrNotFound) {
		t.Errorf("while it is claimed: error %v, want ErrNotFound", err)
	}
	if got, err := s.Deliveries().Event(ctx, n.Key()); got != event || err != nil {
		t.Errorf("its event is %+v, %v", got, err)
	}
	n.State, n.NextTry = domain.Sent, time.Time{}
	if err := claim.Record(ctx, n, event); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Deliveries().ClaimWaiting(ctx, n.Key()); !errors.Is(err, ports.ErrNotFound) {
		t.Errorf("when it is sent: error %v, want ErrNotFound", err)
	}
	if _, err := s.Deliveries().Event(ctx, n.Key()); !errors.Is(err, ports.ErrNotFound) {
		t.Errorf("the event of one that is sent: error %v, want ErrNotFound", err)
	}
}

func TestImportedDeadLetter(t *testing.T) {
	letters := openInside(t, filepath.Join(t.TempDir(), "orders.db"), Options{}).DeadLetters()
	ctx, now := t.Context(), domain.TruncateTime(time.Now())
	record := ports.DeadLetterRecord{
		ID: "letter", Subscription: "email", Message: newLetter(1).Message, State: ports.Replayed, Since: epoch.Add(-time.Hour),
		Failures: []ports.Failure{newLetter(1).Failure, newLetter(2).Failure}, SettledAt: now.Add(-time.Hour), SettledBy: "ann",
	}
	check := func(what string, want ports.DeadLetterRecord) {
		t.Helper()
		got, err := letters.Get(ctx, "letter")
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
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
	other.ID, other.Message.Body = "large", make([]byte, maxMessage+1)
	if err := letters.Import(ctx, ports.DeadLetterRecord{}, other); !ports.IsPermanent(err) {
		t.Errorf("a large one: error %v, want a permanent one", err)
	}
}
