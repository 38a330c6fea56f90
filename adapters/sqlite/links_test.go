package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A link to a file that does not exist yet names the same file before and after that
// exists. Otherwise two stores would look for each other's lock under different names.
func TestPathThroughDanglingLink(t *testing.T) {
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(folder, "disk", "real.db")
	if err := os.Mkdir(filepath.Dir(want), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"absolute": want, "relative": "disk/real.db", "second": "relative", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(folder, name)); err != nil {
			t.Skip(err)
		}
	}
	for _, name := range []string{"absolute", "relative", "second"} {
		if got, err := Path(scheme + filepath.Join(folder, name)); got != want || err != nil {
			t.Errorf("%s: path %q, error %v, want %q", name, got, err, want)
		}
	}
	if _, err := Path(scheme + filepath.Join(folder, "loop")); err == nil {
		t.Error("a link to itself has a path")
	}
	one := openInside(t, filepath.Join(folder, "absolute"), Options{})
	other := openInside(t, want, Options{})
	if n, err := other.OtherOwners(t.Context()); n != 1 || err != nil {
		t.Errorf("%d other owners, error %v, want 1", n, err)
	}
	if err := one.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// A link in the place of a file beside the database could change another file: SQLite
// removes it, or the store refuses it.
func TestLinksBesideTheFile(t *testing.T) {
	for _, suffix := range []string{"-wal", "-shm"} {
		folder := t.TempDir()
		path, other := filepath.Join(folder, "orders.db"), filepath.Join(folder, "other")
		if err := os.WriteFile(other, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(other, path+suffix); err != nil {
			t.Skip(err)
		}
		s, err := Open(t.Context(), scheme+path, Options{})
		if err == nil {
			s.Close(t.Context())
		}
		if link, e := os.Lstat(path + suffix); err == nil && e == nil && link.Mode()&os.ModeSymlink != 0 {
			t.Errorf("the store uses the link at %s", suffix)
		}
		if err != nil && !strings.Contains(err.Error(), path+suffix) {
			t.Errorf("with a link at %s: error %v", suffix, err)
		}
		if info, err := os.Stat(other); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("with a link at %s: the other file has the mode %v (%v)", suffix, info.Mode(), err)
		}
	}
}
