package sqlite_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/ports/porttest"
)

const shortLease = time.Second

func TestStoreContract(t *testing.T) {
	t.Parallel() // it mostly waits for leases
	porttest.Run(t, porttest.StoreClauses(), func(t testing.TB) porttest.Store {
		one, other := openTwice(t, sqlite.Options{OutboxLease: shortLease})
		return porttest.Store{Orders: one.Orders(), Outbox: one.Orders(), Other: other.Orders(), Lease: shortLease}
	})
}

// openTwice opens one new file twice, as two processes do.
func openTwice(t testing.TB, options sqlite.Options) (one, other *sqlite.Store) {
	url := newURL(t)
	one = open(t, url, options)
	return one, open(t, url, options)
}

func newURL(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "orderflow.db") }

func open(t testing.TB, url string, options sqlite.Options) *sqlite.Store {
	t.Helper()
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := sqlite.Open(t.Context(), url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return s
}
