package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// checkUnavailable checks that the error names the file and the way out, in one line.
func checkUnavailable(t *testing.T, err error, path, wayOut string) {
	t.Helper()
	if !errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), wayOut) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want ErrUnavailable in one line with %q and the path", err, wayOut)
	}
}

// While the disk fails, writes return the way out. When it works again, so does the store,
// and nothing is lost or half done.
func TestFailingDisk(t *testing.T) {
	for _, tt := range []struct {
		name   string
		op     string
		err    error
		wayOut string
	}{
		{"full", "write", sqlite3.ErrorCode(sqlite3.FULL), "free some space"},
		{"write error", "write", sqlite3.IOERR_WRITE, "the system's log"},
		{"sync error", "sync", sqlite3.IOERR_FSYNC, "the system's log"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, name := newDisk(t)
			path := filepath.Join(t.TempDir(), "orderflow.db")
			s := openInside(t, path, Options{vfs: name})
			ctx := t.Context()
			if err := s.Orders().Add(ctx, newOrder(t, 0), domain.Origin{}); err != nil {
				t.Fatal(err)
			}
			for round := range 2 {
				d.failWith(func(op, _ string) error {
					if op == tt.op {
						return tt.err
					}
					return nil
				})
				for range 3 {
					checkUnavailable(t, s.Orders().Add(ctx, newOrder(t, 1+round), domain.Origin{}), path, tt.wayOut)
				}
				checkUnavailable(t, s.Ping(ctx), path, tt.wayOut)
				if _, err := s.Orders().Get(ctx, newOrder(t, 0).ID); err != nil {
					t.Errorf("read: %v", err)
				}
				d.failWith(nil)
				if err := s.Ping(ctx); err != nil {
					t.Errorf("ping after it: %v", err)
				}
				if err := s.Orders().Add(ctx, newOrder(t, 1+round), domain.Origin{}); err != nil {
					t.Errorf("after it: %v", err)
				}
				if n, err := s.Orders().Count(ctx); n != 2+round || err != nil {
					t.Errorf("%d orders, error %v, want %d", n, err, 2+round)
				}
			}
		})
	}
}

// One failure at any operation loses and repeats nothing.
func TestOneFailure(t *testing.T) {
	d, name := newDisk(t)
	path := filepath.Join(t.TempDir(), "orderflow.db")
	s := openInside(t, path, Options{vfs: name})
	err := s.write(t.Context(), fleeting, func(tx *tx) error { tx.checkpointAt = 10; return nil })
	if err != nil {
		t.Fatal(err)
	}
	failures, kept := 0, 0
	for n := range 150 {
		left := n % 25
		d.failWith(func(op, suffix string) error {
			if op == "write" || op == "sync" || op == "truncate" {
				if left--; left == 0 {
					failures++
					if op == "sync" {
						return sqlite3.IOERR_FSYNC
					}
					return sqlite3.IOERR_WRITE
				}
			}
			return nil
		})
		switch err := s.Orders().Add(t.Context(), newOrder(t, n), domain.Origin{}); {
		case err == nil:
			kept++
		case !errors.Is(err, ports.ErrUnavailable):
			t.Errorf("order %d: %v", n, err)
		default:
			_, err := s.Orders().Get(t.Context(), newOrder(t, n).ID)
			if !errors.Is(err, ports.ErrNotFound) {
				t.Errorf("order %d, whose Add has failed: %v", n, err)
			}
		}
	}
	d.failWith(nil)
	if failures < 50 || kept < 50 {
		t.Errorf("%d failures, %d orders: too few to tell", failures, kept)
	}
	if n, err := s.Orders().Count(t.Context()); n != kept || err != nil {
		t.Errorf("%d orders, error %v, want %d", n, err, kept)
	}
}

// A store whose files are taken away acknowledges nothing more, even if they come back.
func TestFilesTakenAway(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the system protects open files")
	}
	remove := func(suffix string) func(*Store) error {
		return func(s *Store) error { return os.Remove(s.file.path + suffix) }
	}
	for _, tt := range []struct {
		name   string
		action func(s *Store) error
	}{
		{"database deleted", remove("")},
		{"log deleted", remove("-wal")},
		{"index of the log deleted", remove("-shm")},
		{"lock deleted", func(s *Store) error { return os.Remove(s.file.ownerPath(s.owner)) }},
		{"database renamed", func(s *Store) error { return os.Rename(s.file.path, s.file.path+".old") }},
		{"folder renamed", func(s *Store) error {
			return os.Rename(filepath.Dir(s.file.path), filepath.Dir(s.file.path)+".old")
		}},
		{"folder deleted", func(s *Store) error { return os.RemoveAll(filepath.Dir(s.file.path)) }},
		{"database replaced", func(s *Store) error {
			content, err := os.ReadFile(s.file.path)
			return errors.Join(err, os.Remove(s.file.path), os.WriteFile(s.file.path, content, 0o600))
		}},
		{"database and log replaced", func(s *Store) error {
			return errors.Join(remove("")(s), remove("-wal")(s), remove("-shm")(s),
				os.WriteFile(s.file.path, []byte("new"), 0o600), os.WriteFile(s.file.path+"-wal", []byte("new"), 0o600), os.WriteFile(s.file.path+"-shm", []byte("new"), 0o600))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			s := openInside(t, filepath.Join(folder, "orderflow.db"), Options{})
			if err := s.Orders().Add(t.Context(), newOrder(t, 0), domain.Origin{}); err != nil {
				t.Fatal(err)
			}
			if err := tt.action(s); err != nil {
				t.Fatal(err)
			}
			const wayOut = "put it back if you can, and restart"
			checkUnavailable(t, s.Orders().Add(t.Context(), newOrder(t, 1), domain.Origin{}), s.file.path, wayOut)
			_, err := s.Orders().Get(t.Context(), newOrder(t, 0).ID)
			checkUnavailable(t, err, s.file.path, wayOut)
			if _, err := os.Stat(s.file.path + ".old"); err == nil {
				if err := os.Rename(s.file.path+".old", s.file.path); err != nil {
					t.Fatal(err)
				}
			}
			checkUnavailable(t, s.Ping(t.Context()), s.file.path, wayOut)
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if strings.HasSuffix(tt.name, "log replaced") { // by another process, perhaps
				for _, suffix := range []string{"", "-wal", "-shm"} {
					if content, err := os.ReadFile(s.file.path + suffix); string(content) != "new" {
						t.Errorf("%s after Close: %q, error %v, want the new one", suffix, content, err)
					}
				}
			}
		})
	}
}

// Writes that fail change nothing, and the others of their transaction succeed.
func TestWritesThatFailTogether(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	insert := func(tx *tx, id string) error {
		_, err := tx.exec("INSERT INTO contacts VALUES (?, '', '', '', 0)", id)
		return err
	}
	broken := errors.New("broken")
	writes := map[string]struct {
		f    func(*tx) error
		want func(error) bool
	}{
		"panics": {func(tx *tx) error { _ = insert(tx, "panics"); panic("boom") }, func(err error) bool {
			return errors.Is(err, ports.ErrUnavailable) && strings.Contains(err.Error(), "boom")
		}},
		"fails after a change": {func(tx *tx) error { return errors.Join(insert(tx, "fails"), broken) }, func(err error) bool { return errors.Is(err, broken) }},
		"fails":                {func(*tx) error { return broken }, func(err error) bool { return errors.Is(err, broken) }},
		"breaks a constraint":  {func(tx *tx) error { return errors.Join(insert(tx, "twice"), insert(tx, "twice")) }, func(err error) bool { return errors.Is(err, sqlite3.CONSTRAINT) }},
		"hides a fault":        {func(tx *tx) error { _ = insert(tx, "hidden"); _, _ = tx.exec("nonsense"); return nil }, func(err error) bool { return errors.Is(err, sqlite3.ERROR) }},
	}
	for n := range 10 {
		writes[fmt.Sprint("succeeds ", n)] = struct {
			f    func(*tx) error
			want func(error) bool
		}{func(tx *tx) error { tx.count("test", 1); return insert(tx, fmt.Sprint(n)) }, func(err error) bool { return err == nil }}
	}
	blocked, release := make(chan struct{}), make(chan struct{})
	answers := make(map[string]chan error)
	go s.write(t.Context(), durable, func(*tx) error { close(blocked); <-release; return nil })
	<-blocked
	for name, w := range writes {
		answer := make(chan error, 1)
		answers[name] = answer
		go func() { answer <- s.write(t.Context(), durable, w.f) }()
	}
	close(release)
	for name, w := range writes {
		if err := <-answers[name]; !w.want(err) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	var count, rows int
	err := s.read(t.Context(), func(tx *tx) error {
		return tx.query(func(r row) bool { count, rows = r.ColumnInt(0), r.ColumnInt(1); return true },
			"SELECT n, (SELECT count(*) FROM contacts) FROM counters WHERE name = 'test'")
	})
	if count != 10 || rows != 10 || err != nil {
		t.Errorf("counted %d, %d rows, error %v, want 10", count, rows, err)
	}
}

// A write's function does not run while its caller does.
func TestCallerLeavesItsWrite(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	for range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(time.Now().UnixNano()%300)*time.Microsecond)
		shared := 0 // the race detector checks it
		err := s.write(ctx, fleeting, func(tx *tx) error {
			shared++
			_, err := tx.exec("INSERT INTO contacts VALUES ('ann', '', '', '', 0) ON CONFLICT DO NOTHING")
			shared++
			return err
		})
		shared++
		if err != nil && !(errors.Is(err, context.DeadlineExceeded) && errors.Is(err, ports.ErrUnavailable)) {
			t.Errorf("error %v", err)
		}
		cancel()
	}
}

// An ended context ends a long read, and its connection is free again.
func TestLongReadEnds(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	const endless = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
	for range 2 * readerCount {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		err := s.read(ctx, func(tx *tx) error { return tx.query(nil, endless) })
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ports.ErrUnavailable) {
			t.Errorf("error %v, want DeadlineExceeded", err)
		}
		cancel()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	err := s.write(ctx, durable, func(tx *tx) error { return tx.query(nil, endless) })
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ports.ErrUnavailable) {
		t.Errorf("write: error %v, want DeadlineExceeded", err)
	}
	if err := s.Orders().Add(t.Context(), newOrder(t, 1), domain.Origin{}); err != nil {
		t.Error(err)
	}
}

// Close ends the calls that run when its context ends. Later calls return an error.
func TestCloseEndsCalls(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	const endless = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
	started, ended := make(chan struct{}), make(chan error)
	for range 2 {
		go func() {
			ended <- s.read(t.Context(), func(tx *tx) error { started <- struct{}{}; return tx.query(nil, endless) })
		}()
		<-started
	}
	go func() {
		ended <- s.write(t.Context(), durable, func(tx *tx) error { started <- struct{}{}; return tx.query(nil, endless) })
	}()
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	for range 3 {
		if err := <-ended; !errors.Is(err, ports.ErrUnavailable) {
			t.Errorf("a call that Close has ended: %v", err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	_, getErr := s.Orders().Get(t.Context(), newOrder(t, 0).ID)
	for _, err := range []error{getErr, s.Ping(t.Context()), s.Orders().Add(t.Context(), newOrder(t, 0), domain.Origin{})} {
		checkUnavailable(t, err, s.file.path, "the store is closed")
	}
	if files, _ := filepath.Glob(s.file.path + "*"); len(files) != 1 {
		t.Errorf("files %q, want only the database", files)
	}
}
