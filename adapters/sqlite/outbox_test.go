package sqlite

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// addWaiting adds count orders whose events are free, the first one for longest.
func addWaiting(t *testing.T, s *Store, count int) []domain.Event {
	t.Helper()
	orders := s.Orders()
	var events []domain.Event
	for n := range count {
		order := newOrder(t, n)
		err := orders.Add(t.Context(), order, domain.Origin{})
		if err == nil {
			err = orders.Release(t.Context(), epoch.Add(time.Duration(n)*time.Millisecond-time.Hour), order.Created().ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, order.Created())
	}
	return events
}

// changesOf returns how many rows the store has written.
func changesOf(t *testing.T, s *Store) (changes int64) {
	t.Helper()
	err := s.write(t.Context(), fleeting, func(tx *tx) error {
		changes = tx.conn.TotalChanges()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// Two processes share the events of more than one batch, each event for one of them.
func TestClaimOfManyEventsByTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderflow.db")
	one, other := openInside(t, path, Options{}), openInside(t, path, Options{})
	want := addWaiting(t, one, outboxBatch+10)
	events := make(chan []domain.Event)
	for _, s := range []*Store{one, other} {
		go func() {
			var all []domain.Event
			for {
				got, err := s.Orders().Claim(t.Context(), outboxBatch+5)
				if all = append(all, got...); err != nil || len(got) == 0 {
					if err != nil {
						t.Error(err)
					}
					events <- all
					return
				}
			}
		}()
	}
	got := slices.Concat(<-events, <-events)
	slices.SortFunc(got, func(a, b domain.Event) int { return a.Time.Compare(b.Time) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claimed by both (-want +got):\n%s", diff)
	}
}

// The longest free come first, those that wrong clocks keep from Claim after them.
func TestClaimAfterWrongClocks(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{OutboxLease: time.Minute})
	orders := s.Orders()
	events := addWaiting(t, s, 5)
	for n, freeAt := range map[int]time.Time{
		0: time.Now().Add(30 * time.Second), // claimed
		1: time.Now().AddDate(0, 0, 1),
		2: time.Now().AddDate(1000, 0, 0),
	} {
		spoil(t, s, "UPDATE outbox SET free_at = ? WHERE order_id = ?", freeAt, string(events[n].Order.ID))
	}
	got, err := orders.Claim(t.Context(), 10)
	if diff := cmp.Diff([]domain.Event{events[3], events[4], events[1], events[2]}, got); diff != "" || err != nil {
		t.Errorf("error %v; claimed (-want +got):\n%s", err, diff)
	}
	if got, err := orders.Claim(t.Context(), 10); len(got) > 0 || err != nil {
		t.Errorf("claim again: %d events, error %v; want none", len(got), err)
	}
}

// Times that milliseconds since 1970 hardly express are past or future ones, too.
func TestReleaseAtAnyTime(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	orders := s.Orders()
	events := addWaiting(t, s, 1)
	for _, past := range []time.Time{{}, time.Unix(-1<<62, 0), time.Unix(0, 0)} {
		if err := orders.Release(t.Context(), past, events[0].ID); err != nil {
			t.Fatal(err)
		}
		if got, err := orders.Claim(t.Context(), 1); len(got) != 1 || err != nil {
			t.Errorf("claim of an event released at %v: %d events, error %v; want it", past, len(got), err)
		}
	}
	if err := orders.Release(t.Context(), time.Unix(1<<62, 0), events[0].ID); err != nil {
		t.Fatal(err)
	}
	if got, err := orders.Claim(t.Context(), 1); len(got) > 0 || err != nil {
		t.Errorf("claim of an event released in future: %d events, error %v; want none", len(got), err)
	}
	latest := time.Now().Add(ports.MaxReleaseDelay).UnixMilli()
	err := s.read(t.Context(), func(tx *tx) error {
		return tx.query(func(r row) bool {
			if freeAt := r.ColumnInt64(0); freeAt > latest {
				t.Errorf("the event is free at %d, want at most MaxReleaseDelay from now, %d", freeAt, latest)
			}
			return true
		}, "SELECT free_at FROM outbox")
	})
	if err != nil {
		t.Error(err)
	}
}

// Sweeps that find nothing, and calls for nothing, leave the file alone.
func TestCallsThatWriteNothing(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	events := addWaiting(t, s, 2)
	if _, err := s.Orders().Claim(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ChannelStates().Register(t.Context(), "mail"); err != nil {
		t.Fatal(err)
	}
	letter := newLetter(1)
	if err := s.DeadLetters().Put(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	before := changesOf(t, s)
	for name, call := range map[string]func() error{
		"Claim":         func() error { return errorOf(s.Orders().Claim(t.Context(), 10)) },
		"MarkPublished": func() error { return s.Orders().MarkPublished(t.Context(), "unknown", events[0].ID+"-2") },
		"Release":       func() error { return s.Orders().Release(t.Context(), time.Now()) },
		"Register":      func() error { return errorOf(s.ChannelStates().Register(t.Context(), "mail")) },
		"Put":           func() error { return s.DeadLetters().Put(t.Context(), letter) },
		"sweep":         func() error { return s.DeadLetters().sweep(t.Context()) },
		"Forget":        func() error { return errorOf(s.DeadLetters().Forget(t.Context(), "ann")) },
	} {
		if err := call(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if after := changesOf(t, s); after != before {
			t.Errorf("%s has changed %d rows, want none", name, after-before)
		}
	}
}
