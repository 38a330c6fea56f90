package sqlite

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"pgregory.net/rapid"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

var epoch = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// openInside opens the file at the path, for tests that look into it.
func openInside(t testing.TB, path string, options Options) *Store {
	t.Helper()
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := Open(t.Context(), scheme+path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// spoil runs a statement that another program could run.
func spoil(t rapid.TB, s *Store, sql string, args ...any) {
	t.Helper()
	err := s.write(context.Background(), durable, func(tx *tx) error {
		_, err := tx.exec(sql, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// newOrder returns the nth order, created n milliseconds after the epoch.
func newOrder(t testing.TB, n int) domain.Order {
	t.Helper()
	id := domain.OrderID(fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-%012d", n))
	order, err := domain.NewOrder(id, "ann", "Laptop", 1, epoch.Add(time.Duration(n)*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return order
}

// newLetter returns the nth dead letter, which first failed n milliseconds after the
// epoch.
func newLetter(n int) ports.DeadLetter {
	at := epoch.Add(time.Duration(n) * time.Millisecond)
	return ports.DeadLetter{
		ID:      fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-%012d-created", n),
		Message: ports.Message{ID: fmt.Sprint("message ", n), Body: []byte("{}")},
		Failure: ports.Failure{Reason: fmt.Sprint("reason ", n), Attempts: 1, FirstFailure: at, LastFailure: at},
	}
}
