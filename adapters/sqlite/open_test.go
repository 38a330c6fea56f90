package sqlite_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// run runs statements on the file, as another program.
func run(t testing.TB, path, sql string) {
	t.Helper()
	c, err := sqlite3.Open(path)
	if err == nil {
		err = errors.Join(c.Exec(sql), c.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fill makes a file of ours that has orders.
func fill(t testing.TB, path string, orders int) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), "sqlite:"+path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range orders {
		if err := s.Orders().Add(t.Context(), newOrder(t, n), domain.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// change changes the file's bytes.
func change(t testing.TB, path string, f func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, f(content))
}

func TestOpenRefuses(t *testing.T) {
	const (
		noDatabase = "it is no SQLite database"
		other      = "it is the SQLite file of another application"
		damaged    = "the file is damaged"
	)
	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"a folder", func(t *testing.T, path string) { _ = os.Mkdir(path, 0o700) }, "it is a folder"},
		{"a short text", func(t *testing.T, path string) { write(t, path, []byte("hello\n")) }, noDatabase},
		{"a text of 100 bytes", func(t *testing.T, path string) { write(t, path, slices.Repeat([]byte("x"), 100)) }, noDatabase},
		{"a long text", func(t *testing.T, path string) { write(t, path, slices.Repeat([]byte("hello\n"), 5000)) }, noDatabase},
		{"zeros", func(t *testing.T, path string) { write(t, path, make([]byte, 8192)) }, noDatabase},
		{"another application's file", func(t *testing.T, path string) { run(t, path, "CREATE TABLE notes (text TEXT)") }, other},
		{"another application's file with a log", func(t *testing.T, path string) {
			run(t, path, "PRAGMA journal_mode = WAL; CREATE TABLE notes (text TEXT)")
		}, other},
		{"another application's empty file", func(t *testing.T, path string) { run(t, path, "PRAGMA application_id = 7") }, other},
		{"another application's version", func(t *testing.T, path string) { run(t, path, "PRAGMA user_version = 1") }, other},
		{"a later version", func(t *testing.T, path string) {
			fill(t, path, 1)
			run(t, path, "PRAGMA user_version = 99")
		}, "a newer release has written it"},
		{"a version below 1", func(t *testing.T, path string) {
			fill(t, path, 1)
			run(t, path, "PRAGMA user_version = -1")
		}, damaged},
		{"a damaged first page", func(t *testing.T, path string) {
			fill(t, path, 1)
			change(t, path, func(b []byte) []byte { copy(b, "damaged"); return b })
		}, noDatabase},
		{"a damaged schema", func(t *testing.T, path string) {
			fill(t, path, 1)
			change(t, path, func(b []byte) []byte { copy(b[100:4096], make([]byte, 3996)); return b })
		}, damaged},
		{"a truncated file", func(t *testing.T, path string) {
			fill(t, path, 100)
			change(t, path, func(b []byte) []byte { return b[:len(b)/2] })
		}, damaged},
		{"a file truncated within a page", func(t *testing.T, path string) {
			fill(t, path, 100)
			change(t, path, func(b []byte) []byte { return b[:len(b)-100] })
		}, damaged},
		{"a file without its last page", func(t *testing.T, path string) {
			fill(t, path, 100)
			change(t, path, func(b []byte) []byte { return b[:len(b)-4096] })
		}, damaged},
		{"the first page alone", func(t *testing.T, path string) {
			fill(t, path, 1)
			change(t, path, func(b []byte) []byte { return b[:4096] })
		}, damaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "orderflow.db")
			tt.make(t, path)
			before := contentOf(t, path)
			s, err := sqlite.Open(t.Context(), "sqlite:"+path, sqlite.Options{})
			if err == nil {
				_ = s.Close(t.Context())
				t.Fatal("no error")
			}
			checkRefusal(t, err.Error(), path, tt.want)
			if !errors.Is(err, ports.ErrUnavailable) || !errors.Is(err, ports.ErrRefused) {
				t.Errorf("error %v, want ErrUnavailable and ErrRefused", err)
			}
			if diff := cmp.Diff(before, contentOf(t, path)); diff != "" {
				t.Errorf("Open has changed the files (-before +after):\n%s", diff)
			}
		})
	}
}

func checkRefusal(t *testing.T, text, path, want string) {
	t.Helper()
	if !strings.Contains(text, path) || !strings.Contains(text, want) || strings.Contains(text, "\n") {
		t.Errorf("error %q, want a line with %q and the path", text, want)
	}
}

// contentOf returns the files of the path's folder.
func contentOf(t testing.TB, path string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(filepath.Dir(path)), ".", func(name string, _ fs.DirEntry, err error) error {
		content, _ := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestOpenInFolder(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "file"), nil)
	for name, want := range map[string]string{
		filepath.Join(folder, "none", "x.db"): "its folder does not exist",
		filepath.Join(folder, "file", "x.db"): "its folder does not exist",
	} {
		_, err := sqlite.Open(t.Context(), "sqlite:"+name, sqlite.Options{})
		if err == nil || !errors.Is(err, ports.ErrRefused) {
			t.Fatalf("%s: error %v, want ErrRefused", name, err)
		}
		checkRefusal(t, err.Error(), name, want)
	}
}

// The file and those beside it are for its owner alone. Those beside a file that others
// may use are for them, too.
func TestRightsOfFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("rights are of another kind")
	}
	for _, mode := range []fs.FileMode{0, 0o660} {
		path := filepath.Join(t.TempDir(), "orderflow.db")
		if mode != 0 {
			write(t, path, nil)
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		} else {
			mode = 0o600
		}
		open(t, "sqlite:"+path, sqlite.Options{})
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(entries) != 4 {
			t.Fatalf("%d files, error %v, want 4", len(entries), err)
		}
		for _, entry := range entries {
			if info, err := entry.Info(); err != nil || info.Mode() != mode {
				t.Errorf("%s: mode %v, error %v, want %v", entry.Name(), info.Mode(), err, mode)
			}
		}
	}
}

// A file that another program keeps locked may be free later.
func TestOpenLockedFile(t *testing.T) {
	t.Parallel() // it waits
	path := filepath.Join(t.TempDir(), "orderflow.db")
	fill(t, path, 1)
	other, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = sqlite.Open(ctx, "sqlite:"+path, sqlite.Options{})
	if !errors.Is(err, ports.ErrUnavailable) || errors.Is(err, ports.ErrRefused) || ctx.Err() != nil {
		t.Fatalf("error %v, want ErrUnavailable without ErrRefused", err)
	}
	checkRefusal(t, err.Error(), path, "another program keeps it locked")
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err = sqlite.Open(short, "sqlite:"+path, sqlite.Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want DeadlineExceeded", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, "sqlite:"+path, sqlite.Options{})
}

// Damage that Open does not see is an error of the call that meets it; the others go on.
func TestDamagedPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderflow.db")
	const orders = 300
	fill(t, path, orders)
	first := newOrder(t, 0)
	change(t, path, func(b []byte) []byte {
		const page = 4096
		for at := page; at < len(b); at += page {
			if strings.Contains(string(b[at:at+page]), string(first.ID)+first.UserID) { // in the table, not in an index
				binary.BigEndian.PutUint64(b[at:], 0x0700ffffffffffff)
			}
		}
		return b
	})
	s := open(t, "sqlite:"+path, sqlite.Options{})
	_, err := s.Orders().Get(t.Context(), first.ID)
	if !errors.Is(err, ports.ErrUnavailable) || errors.Is(err, ports.ErrNotFound) {
		t.Fatalf("error %v, want ErrUnavailable", err)
	}
	checkRefusal(t, err.Error(), path, "put a backup in its place")
	if _, err := s.Orders().Get(t.Context(), newOrder(t, orders-1).ID); err != nil {
		t.Error(err)
	}
	if err := s.Orders().Add(t.Context(), newOrder(t, orders), domain.Origin{}); err != nil {
		t.Error(err)
	}
}
