package sqlite_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
)

func newOrder(t testing.TB, id string) domain.Order {
	t.Helper()
	order, err := domain.NewOrder(domain.OrderID(id), "ann", "Laptop", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return order
}

const orderID = "0198a5a0-0000-7000-8000-000000000001"

func TestClosedStoreFreesItsClaimsAndLeavesNoFiles(t *testing.T) {
	var log bytes.Buffer
	url := newURL(t)
	one, err := sqlite.Open(t.Context(), url, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, url, sqlite.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if n, err := other.OtherOwners(t.Context()); n != 1 || err != nil {
		t.Errorf("%d other owners, error %v, want 1", n, err)
	}
	if err := one.Orders().Add(t.Context(), newOrder(t, orderID)); err != nil {
		t.Fatal(err)
	}
	if events, err := other.Orders().Claim(t.Context(), 10); len(events) > 0 || err != nil {
		t.Errorf("claimed %d events, error %v, while the other store is open", len(events), err)
	}
	if err := one.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := other.OtherOwners(t.Context()); n != 0 || err != nil {
		t.Errorf("%d other owners, error %v, want none", n, err)
	}
	if events, err := other.Orders().Claim(t.Context(), 10); len(events) != 1 || err != nil {
		t.Errorf("claimed %d events, error %v, want 1", len(events), err)
	}
	if err := other.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("logged %s", &log)
	}
	entries, err := os.ReadDir(filepath.Dir(strings.TrimPrefix(url, "sqlite:")))
	if len(entries) != 1 || err != nil {
		t.Errorf("files %v, error %v, want only the database", entries, err)
	}
}
