package sqlite

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// newClaims makes a claim on a new notification, on a dead one and on one that waits.
func newClaims(t *testing.T, s *Store) (claims []ports.DeliveryClaim, keys []domain.NotificationKey) {
	t.Helper()
	log := s.Deliveries()
	fresh, _ := newNotification(t, domain.Sent, 1)
	for _, n := range []domain.Notification{fresh, recordNew(t, s, domain.Dead, 2)} {
		claim, err := log.Claim(t.Context(), n.Key())
		if err != nil {
			t.Fatal(err)
		}
		claims, keys = append(claims, claim), append(keys, n.Key())
	}
	waits := recordNew(t, s, domain.Retrying, 3)
	due, err := log.ClaimDue(t.Context(), "mail", 10)
	if err != nil || len(due) != 1 {
		t.Fatalf("claimed %d, error %v, want 1", len(due), err)
	}
	return append(claims, due[0].Claim), append(keys, waits.Key())
}

// checkClaims fails t unless the claims are free, or are not.
func checkClaims(t *testing.T, s *Store, keys []domain.NotificationKey, free bool) {
	t.Helper()
	for _, key := range keys[:2] {
		if claim, err := s.Deliveries().Claim(t.Context(), key); free != (claim != nil) || !free && !errors.Is(err, ports.ErrClaimed) {
			t.Errorf("claim %s: error %v, want it to be free: %t", key, err, free)
		}
	}
	if due, err := s.Deliveries().ClaimDue(t.Context(), "mail", 10); err != nil || free != (len(due) == 1) {
		t.Errorf("claimed %d that wait, error %v, want it to be free: %t", len(due), err, free)
	}
}

func TestDeliveryClaimsEndWithTheirOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderflow.db")
	one, other := openInside(t, path, Options{}), openInside(t, path, Options{})
	_, keys := newClaims(t, one)
	checkClaims(t, other, keys, false)
	if err := one.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkClaims(t, other, keys, true)
}

// A clock that was too late by more than half a lease made a claim that no correct one
// could have made.
func TestDeliveryClaimsAfterWrongClocks(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	_, keys := newClaims(t, s)
	for _, tt := range []struct {
		ends time.Time
		free bool
	}{
		{time.Now().Add(s.options.DeliveryLease), false},
		{time.Now().Add(2 * s.options.DeliveryLease), true},
		{time.Now().AddDate(10, 0, 0), true},
		{time.Now().Add(-time.Millisecond), true},
	} {
		spoil(t, s, "UPDATE delivery_claims SET ends = ?", tt.ends)
		checkClaims(t, s, keys, tt.free)
	}
}

// Record, Release, Expire and Forget leave no row of a claim behind.
func TestNoDeliveryClaimIsLeft(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	log := s.Deliveries()
	left := func() (count int) {
		err := s.read(t.Context(), func(tx *tx) error {
			return tx.query(func(r row) bool { count = r.ColumnInt(0); return true }, "SELECT count(*) FROM delivery_claims")
		})
		if err != nil {
			t.Fatal(err)
		}
		return count
	}
	check := func(after string, want int, err error) {
		t.Helper()
		if got := left(); got != want || err != nil {
			t.Errorf("after %s: %d claims are left, want %d; error %v", after, got, want, err)
		}
	}
	claims, _ := newClaims(t, s)
	check("three claims", 3, nil)
	for n, state := range []domain.NotificationState{domain.Sent, domain.Skipped, domain.Held} {
		of, event := newNotification(t, state, n+1)
		check("the record of a "+string(state)+" one", 2-n, claims[n].Record(t.Context(), of, event))
	}
	dead := recordNew(t, s, domain.Dead, 10)
	claim, err := log.Claim(t.Context(), dead.Key())
	if err != nil {
		t.Fatal(err)
	}
	check("a release", 0, claim.Release(t.Context()))
	if err := errorOf(log.Claim(t.Context(), dead.Key())); err != nil {
		t.Fatal(err)
	}
	spoil(t, s, "UPDATE delivery_claims SET ends = 0")
	check("Expire", 0, errorOf(log.Expire(t.Context(), epoch.AddDate(1, 0, 0), 10)))
	recordNew(t, s, domain.Retrying, 20)
	if due, err := log.ClaimDue(t.Context(), "mail", 10); err != nil || len(due) == 0 {
		t.Fatalf("claimed %d, error %v", len(due), err)
	}
	check("Forget", 0, errorOf(log.Forget(t.Context(), "ann")))
}

// A poll that finds nothing due writes nothing.
func TestClaimDueOfNothingWritesNothing(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	recordNew(t, s, domain.Sent, 1)
	before := changesOf(t, s)
	if due, err := s.Deliveries().ClaimDue(t.Context(), "mail", 10); err != nil || len(due) > 0 {
		t.Errorf("claimed %d, error %v, want none", len(due), err)
	}
	if n, err := s.Deliveries().Expire(t.Context(), epoch, 10); n != 0 || err != nil {
		t.Errorf("%d expired, error %v, want none", n, err)
	}
	if n := changesOf(t, s) - before; n != 0 {
		t.Errorf("%d rows were written, want none", n)
	}
}
