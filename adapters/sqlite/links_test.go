package sqlite

import (
	"os"
	"path/filepath"
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
