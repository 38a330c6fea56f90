package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
)

// newOrder returns the nth order.
func newOrder(t testing.TB, n int) domain.Order {
	id := domain.OrderID(fmt.Sprintf("0198a5a0-0000-7000-8000-%012d", n))
	order, err := domain.NewOrder(id, "ann", "Laptop", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return order
}

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
	if err := one.Orders().Add(t.Context(), newOrder(t, 1), domain.Origin{}); err != nil {
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

func init() {
	children["hold"] = func(url string) error {
		s, err := sqlite.Open(context.Background(), url, sqlite.Options{})
		if err != nil {
			return err
		}
		for n := range 3 {
			if err := s.Orders().Add(context.Background(), newOrder(nil, n), domain.Origin{}); err != nil {
				return err
			}
		}
		fmt.Println("holds")
		_, err = io.Copy(io.Discard, os.Stdin)
		return errors.Join(err, s.Close(context.Background()))
	}
}

// claimAll claims events until there are some, or the time is over.
func claimAll(t *testing.T, s *sqlite.Store, within time.Duration) int {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		events, err := s.Orders().Claim(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) > 0 || time.Now().After(deadline) {
			return len(events)
		}
	}
}

const long = time.Hour // of leases that no test waits for

// What a killed process had claimed is free at once: for a process that starts, and for
// one that runs.
func TestKilledProcessFreesItsClaims(t *testing.T) {
	for _, runs := range []bool{true, false} {
		t.Run(fmt.Sprintf("runs=%t", runs), func(t *testing.T) {
			var log lockedBuffer
			options := sqlite.Options{OutboxLease: long, Logger: slog.New(slog.NewTextHandler(&log, nil))}
			url := newURL(t)
			var s *sqlite.Store
			if runs {
				s = open(t, url, options)
			}
			c := startChild(t, "hold", url)
			c.expect(t, "holds")
			c.kill(t)
			within := 20 * time.Second
			if !runs {
				s = open(t, url, options)
				within = 0
			}
			if n := claimAll(t, s, within); n != 3 {
				t.Errorf("claimed %d events, want 3", n)
			}
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "its claims are free") || !strings.Contains(text, "events_freed=3") {
				t.Errorf("logged %q, want one line", text)
			}
			if locks, err := filepath.Glob(strings.TrimPrefix(url, "sqlite:") + "-owner-*"); len(locks) != 1 || err != nil {
				t.Errorf("lock files %q, error %v, want one", locks, err)
			}
		})
	}
}

// A copy of the database has no live owners, even while those of the database live.
func TestCopyHasNoOwners(t *testing.T) {
	url := newURL(t)
	one := open(t, url, sqlite.Options{OutboxLease: long})
	if err := one.Orders().Add(t.Context(), newOrder(t, 1), domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(filepath.Dir(strings.TrimPrefix(url, "sqlite:")), "copy.db")
	run(t, strings.TrimPrefix(url, "sqlite:"), "VACUUM INTO '"+path+"'")
	s := open(t, "sqlite:"+path, sqlite.Options{OutboxLease: long})
	if n, err := s.OtherOwners(t.Context()); n != 0 || err != nil {
		t.Errorf("%d other owners, error %v, want none", n, err)
	}
	if n := claimAll(t, s, 0); n != 1 {
		t.Errorf("claimed %d events, want 1", n)
	}
	if n := claimAll(t, one, 0); n != 0 {
		t.Errorf("claimed %d events again in the database", n)
	}
}

// Stores that open, close and are left behind together free nothing of those that live,
// and leave no files.
func TestOwnersComeAndGo(t *testing.T) {
	url := newURL(t)
	path := strings.TrimPrefix(url, "sqlite:")
	s := open(t, url, sqlite.Options{OutboxLease: long})
	if err := s.Orders().Add(t.Context(), newOrder(t, 1), domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	write(t, path+"-owner-0000000000000001", nil) // of a process that was killed while it opened
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 5 {
				other, err := sqlite.Open(t.Context(), url, sqlite.Options{OutboxLease: long, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Error(err)
					return
				}
				if events, err := other.Orders().Claim(t.Context(), 10); len(events) > 0 || err != nil {
					t.Errorf("claimed %d events, error %v, want none", len(events), err)
				}
				if err := other.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n, err := s.OtherOwners(t.Context()); n != 0 || err != nil {
		t.Errorf("%d other owners, error %v, want none", n, err)
	}
	if locks, err := filepath.Glob(path + "-owner-*"); len(locks) != 1 || err != nil {
		t.Errorf("lock files %q, error %v, want one", locks, err)
	}
}

// lockedBuffer may be written and read at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
