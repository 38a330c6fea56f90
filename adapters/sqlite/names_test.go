//go:build unix

package sqlite_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/ports"
)

// A second name of the file would have a log of its own.
func TestOpenByHardLink(t *testing.T) {
	folder := t.TempDir()
	path, link := filepath.Join(folder, "orderflow.db"), filepath.Join(folder, "other.db")
	fill(t, path, 1)
	if err := os.Link(path, link); err != nil {
		t.Skip("the file system has no links:", err)
	}
	for _, name := range []string{path, link} {
		_, err := sqlite.Open(t.Context(), "sqlite:"+name, sqlite.Options{})
		if !errors.Is(err, ports.ErrRefused) {
			t.Fatalf("error %v, want ErrRefused", err)
		}
		checkRefusal(t, err.Error(), name, "it has 2 names (hard links)")
		_, err = sqlite.Backup(t.Context(), "sqlite:"+name, filepath.Join(folder, "backup.db"), sqlite.BackupOptions{})
		if !errors.Is(err, ports.ErrRefused) || !strings.Contains(err.Error(), "hard links") {
			t.Errorf("backup: error %v, want ErrRefused", err)
		}
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	open(t, "sqlite:"+path, sqlite.Options{})
}

func TestLinkOfOpenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderflow.db")
	var log bytes.Buffer
	s := open(t, "sqlite:"+path, sqlite.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 2 {
		if err := os.Link(path, path+".link"); err != nil {
			t.Skip("the file system has no links:", err)
		}
		for range 3 {
			if err := s.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := os.Remove(path + ".link"); err != nil {
			t.Fatal(err)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "hard link"); n != 2 {
		t.Errorf("%d warnings, want one for each link:\n%s", n, &log)
	}
}

// A file that is made at the end of a symbolic link has one name.
func TestOpenByDanglingLink(t *testing.T) {
	folder := t.TempDir()
	link := filepath.Join(folder, "link.db")
	if err := errors.Join(os.Mkdir(filepath.Join(folder, "data"), 0o700), os.Symlink("data/orderflow.db", link)); err != nil {
		t.Fatal(err)
	}
	s := open(t, "sqlite:"+link, sqlite.Options{})
	other := open(t, "sqlite:"+filepath.Join(folder, "data", "..", "data", "orderflow.db"), sqlite.Options{})
	for _, s := range []*sqlite.Store{s, other} {
		if n, err := s.OtherOwners(t.Context()); n != 1 || err != nil {
			t.Errorf("%d other owners, error %v, want 1", n, err)
		}
	}
	if beside, _ := filepath.Glob(link + "-*"); len(beside) > 0 {
		t.Errorf("beside the link are %v", beside)
	}
}
