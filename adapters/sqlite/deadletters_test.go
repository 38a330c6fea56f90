package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/ports"
)

// The file does not keep what no method finds any more.
func TestSweepDeletesExpiredLetters(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{DeadLetterRetention: time.Hour})
	letters := s.DeadLetters()
	const waiting, settled, expired = 3, 4, 2*sweepBatch + 1
	for n := range waiting + settled + expired {
		if err := letters.Put(t.Context(), newLetter(n)); err != nil {
			t.Fatal(err)
		}
	}
	settledFor := func(from int, d time.Duration) {
		spoil(t, s, "UPDATE dead_letters SET state = 'replayed', settled_at = ?, settled_by = 'x' WHERE id >= ?", time.Now().Add(-d), newLetter(from).ID)
	}
	settledFor(waiting, 59*time.Minute)
	settledFor(waiting+settled, time.Hour)
	for range 2 {
		if err := letters.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := 0
		err := s.read(t.Context(), func(tx *tx) error {
			return tx.query(func(r row) bool { got = r.ColumnInt(0); return true }, "SELECT count(*) FROM dead_letters")
		})
		if want := waiting + settled; got != want || err != nil {
			t.Errorf("after a sweep the file has %d letters, error %v; want %d", got, err, want)
		}
		page, err := letters.List(t.Context(), ports.DeadLetterQuery{Limit: 1000})
		if want := waiting + settled; len(page.Records) != want || err != nil {
			t.Errorf("after a sweep the list has %d letters, error %v; want %d", len(page.Records), err, want)
		}
	}
}

// A store deletes them while it is open, although nobody asks for dead letters.
func TestOpenStoreSweeps(t *testing.T) {
	t.Parallel() // it waits for the sweep
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{DeadLetterRetention: time.Millisecond})
	letter := newLetter(1)
	if err := s.DeadLetters().Put(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	record, err := s.DeadLetters().Get(t.Context(), letter.ID)
	if err == nil {
		err = s.DeadLetters().Settle(t.Context(), record, ports.Discarded, "somebody")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for kept := true; kept; time.Sleep(10 * time.Millisecond) {
		if err != nil {
			t.Fatal(err)
		}
		kept = false
		err = s.read(ctx, func(tx *tx) error {
			return tx.query(func(row) bool { kept = true; return false }, "SELECT 1 FROM dead_letters")
		})
	}
}

// A message that no retry makes smaller is refused for ever. The limit counts its body and
// its properties.
func TestPutOfTooLargeLetter(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	letters := s.DeadLetters()
	largest := newLetter(1)
	properties, err := encodeProperties(largest.Message)
	if err != nil {
		t.Fatal(err)
	}
	largest.Message.Body = make([]byte, maxMessage-len(properties))
	tooLarge := largest
	tooLarge.Message.Body = make([]byte, len(largest.Message.Body)+1)
	if err := letters.Put(t.Context(), tooLarge); !ports.IsPermanent(err) || errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), "15728640") {
		t.Errorf("put of a letter that is too large: got %v, want a permanent error with the limit", err)
	}
	if err := letters.Put(t.Context(), largest); err != nil {
		t.Errorf("put of the largest letter: %v", err)
	}
	if got, err := letters.Get(t.Context(), largest.ID); len(got.Message.Body) != len(largest.Message.Body) || err != nil {
		t.Errorf("get: a body of %d bytes, error %v; want %d", len(got.Message.Body), err, len(largest.Message.Body))
	}
}

// Failures of no year that RFC 3339 can write can't be kept by any retry.
func TestPutOfUnwritableFailure(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	letter := newLetter(1)
	letter.Failure.LastFailure = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := s.DeadLetters().Put(t.Context(), letter); !ports.IsPermanent(err) {
		t.Errorf("got %v, want a permanent error", err)
	}
}

// Forget reads letters in several transactions, and large ones in more.
func TestForgetReadsEveryBatch(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	letters := s.DeadLetters()
	const count = 2*forgetBatch + 1
	mine := 0
	for n := range count {
		letter := newLetter(n)
		if n%3 != 1 {
			letter.Message.Body = []byte(`{"user_id":"ann","product":"secret"}`)
			mine++
		}
		if n == 1 || n == 2 {
			letter.Message.Body = append([]byte(`{"user_id":"ann","product":"`), strings.Repeat("x", 9<<20)+`"}`...)
			mine += n % 2
		}
		if err := letters.Put(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{mine, 0} {
		if got, err := letters.Forget(t.Context(), "ann"); got != want || err != nil {
			t.Errorf("forget: %d letters, error %v; want %d", got, err, want)
		}
	}
}
