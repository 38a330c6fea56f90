package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// filesIn returns the names of the files in the folder.
func filesIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// add stores the orders with these numbers.
func add(t *testing.T, s *Store, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := s.Orders().Add(t.Context(), newOrder(t, n), domain.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
}

// The backup has what was there when it began, and the claims in it are free.
func TestBackupOfOpenFile(t *testing.T) {
	folder, target := t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
	path := filepath.Join(folder, "orders.db")
	s := openInside(t, path, Options{})
	add(t, s, 0, 300)
	steps := 0
	info, err := Backup(t.Context(), scheme+path, target, BackupOptions{Progress: func(done, total int) {
		if steps++; done < 1 || done > total {
			t.Errorf("progress: %d of %d pages", done, total)
		}
		add(t, s, 300, 310) // the backup does not have them
		if err := s.DeadLetters().Put(t.Context(), newLetter(steps)); err != nil {
			t.Error(err)
		}
	}})
	stat, e := os.Stat(target)
	if err != nil || e != nil {
		t.Fatal(err, e)
	}
	if diff := cmp.Diff(BackupInfo{target, stat.Size(), 300}, info); diff != "" || steps == 0 || stat.Mode() != 0o600 {
		t.Errorf("%d steps, mode %v, info (-want +got):\n%s", steps, stat.Mode(), diff)
	}
	if diff := cmp.Diff([]string{"backup.db"}, filesIn(t, filepath.Dir(target))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	backup := openInside(t, target, Options{})
	if n, err := backup.OtherOwners(t.Context()); n != 0 || err != nil {
		t.Errorf("the backup has %d owners, error %v", n, err)
	}
	if n, err := backup.Orders().Count(t.Context()); n != 300 || err != nil {
		t.Errorf("the backup counts %d orders, error %v", n, err)
	}
	if events, err := backup.Orders().Claim(t.Context(), 1000); len(events) != 300 || err != nil {
		t.Errorf("%d events are free in the backup, error %v, want 300", len(events), err)
	}
	if events, err := s.Orders().Claim(t.Context(), 1000); len(events) != 0 || err != nil {
		t.Errorf("%d events are free in the source, error %v, want none", len(events), err)
	}
}

// A backup ends although others write all the time, and has whole transactions only.
func TestBackupDuringWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.db")
	s := openInside(t, path, Options{})
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	begun := make(chan struct{})
	writers.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			if err := s.Orders().Add(context.WithoutCancel(ctx), newOrder(t, n), domain.Origin{}); err != nil {
				t.Error(err)
			}
			if n == 50 {
				close(begun)
			}
		}
	})
	<-begun
	for range 3 {
		target := filepath.Join(t.TempDir(), "backup.db")
		info, err := Backup(t.Context(), scheme+path, target, BackupOptions{})
		if err != nil {
			t.Fatal(err)
		}
		backup := openInside(t, target, Options{})
		if n, err := backup.Orders().Count(t.Context()); n != info.Orders || n < 50 || err != nil {
			t.Errorf("the backup counts %d orders, error %v; info says %d", n, err, info.Orders)
		}
	}
}

func TestBackupOfClosedFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "orders.db")
	s := openInside(t, path, Options{})
	add(t, s, 0, 3)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := Backup(t.Context(), scheme+path, filepath.Join(folder, "b"), BackupOptions{}); err != nil || info.Orders != 3 {
		t.Errorf("%+v, error %v", info, err)
	}
	if diff := cmp.Diff([]string{"b", "orders.db"}, filesIn(t, folder)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	// A backup can be backed up, too, also by a user who may only read it.
	if err := os.Chmod(filepath.Join(folder, "b"), 0o400); err != nil {
		t.Fatal(err)
	}
	if info, err := Backup(t.Context(), scheme+filepath.Join(folder, "b"), filepath.Join(folder, "c"), BackupOptions{}); err != nil || info.Orders != 3 {
		t.Errorf("%+v, error %v", info, err)
	}
	if diff := cmp.Diff([]string{"b", "c", "orders.db"}, filesIn(t, folder)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestBackupThatIsStopped(t *testing.T) {
	path, folder := filepath.Join(t.TempDir(), "orders.db"), t.TempDir()
	s := openInside(t, path, Options{})
	add(t, s, 0, 3)
	ctx, stop := context.WithCancel(t.Context())
	_, err := Backup(ctx, scheme+path, filepath.Join(folder, "b"), BackupOptions{Progress: func(int, int) { stop() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if names := filesIn(t, folder); len(names) > 0 {
		t.Errorf("it left %v", names)
	}
}

func TestBackupReplaces(t *testing.T) {
	path, target := filepath.Join(t.TempDir(), "orders.db"), filepath.Join(t.TempDir(), "b")
	s := openInside(t, path, Options{})
	for n := range 3 {
		add(t, s, n, n+1)
		info, err := Backup(t.Context(), scheme+path, target, BackupOptions{Replace: true})
		if err != nil || info.Orders != n+1 {
			t.Errorf("%+v, error %v, want %d orders", info, err, n+1)
		}
	}
	if diff := cmp.Diff([]string{"b"}, filesIn(t, filepath.Dir(target))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestRefusedBackups(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	s := openInside(t, at("orders.db"), Options{})
	add(t, s, 0, 3)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("text", strings.Repeat("no database ", 100))
	write("empty", "")
	write("old", "an earlier backup")
	write("used-wal", "another database's log")
	if err := os.Symlink(at("orders.db"), at("link")); err != nil {
		t.Fatal(err)
	}
	files := filesIn(t, folder)
	for _, tt := range []struct {
		name, source, target string
		replace              bool
		want                 string
	}{
		{"no source", "none.db", "b", false, "none.db: it does not exist; check the path"},
		{"source is a folder", ".", "b", false, "it is no regular file"},
		{"source is empty", "empty", "b", false, "it has no tables yet"},
		{"source is no database", "text", "b", false, "it is no SQLite database"},
		{"target exists", "orders.db", "old", false, "it exists already"},
		{"target is a folder", "orders.db", ".", true, "it is a folder; add the name of a file"},
		{"target is the source", "orders.db", "orders.db", true, "it is the file itself"},
		{"target is a link to the source", "orders.db", "link", true, "it is the file itself"},
		{"target is the source's log", "orders.db", "orders.db-wal", true, "SQLite or a service may use this name"},
		{"target has a log", "orders.db", "used", true, "used-wal exists"},
		{"target's folder does not exist", "orders.db", "none/b", false, "its folder does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Backup(t.Context(), scheme+at(tt.source), at(tt.target), BackupOptions{Replace: tt.replace})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, ports.ErrUnavailable) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if diff := cmp.Diff(files, filesIn(t, folder)); diff != "" {
				t.Errorf("files (-before +after):\n%s", diff)
			}
		})
	}
	if text, err := os.ReadFile(at("old")); string(text) != "an earlier backup" || err != nil {
		t.Errorf("the earlier backup is %q, error %v", text, err)
	}
}

// A file that appears while the backup is made stays as it is.
func TestBackupNeverReplacesUnasked(t *testing.T) {
	path, target := filepath.Join(t.TempDir(), "orders.db"), filepath.Join(t.TempDir(), "b")
	s := openInside(t, path, Options{})
	add(t, s, 0, 3)
	_, err := Backup(t.Context(), scheme+path, target, BackupOptions{Progress: func(int, int) {
		if err := os.WriteFile(target, []byte("other"), 0o600); err != nil {
			t.Error(err)
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "it was made meanwhile") {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(target); string(text) != "other" || err != nil {
		t.Errorf("it is %q now, error %v", text, err)
	}
	if diff := cmp.Diff([]string{"b"}, filesIn(t, filepath.Dir(target))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A damaged page of an index is found, although the copy is exact.
func TestBackupOfDamagedFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "orders.db")
	s := openInside(t, path, Options{})
	add(t, s, 0, 300)
	var page int64
	err := s.read(t.Context(), func(tx *tx) error {
		return tx.query(func(r row) bool { page = r.ColumnInt64(0); return false }, "SELECT rootpage FROM sqlite_schema WHERE name = 'orders_latest'")
	})
	if err == nil {
		err = s.Close(t.Context())
	}
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err == nil {
		_, err = f.WriteAt(make([]byte, 2000), (page-1)*4096+2000)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = Backup(t.Context(), scheme+path, filepath.Join(folder, "b"), BackupOptions{})
	if !errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("error %v, want it to say that something is damaged", err)
	}
	if _, err := os.Stat(filepath.Join(folder, "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the backup exists, error %v", err)
	}
}
