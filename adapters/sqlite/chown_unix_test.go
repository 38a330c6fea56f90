//go:build unix

package sqlite

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The files that a command of root makes beside a service's file belong to the service's
// user.
func TestFilesOfRootBelongToTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "orders.db")
	if err := openInside(t, path, Options{}).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	const user, group = 65534, 65533
	if err := os.Chown(path, user, group); err != nil {
		t.Fatal(err)
	}
	s := openInside(t, path, Options{})
	for _, name := range []string{path + "-wal", path + "-shm", s.file.ownerPath(s.owner)} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if stat := info.Sys().(*syscall.Stat_t); stat.Uid != user || stat.Gid != group {
			t.Errorf("%s belongs to %d:%d, want %d:%d", filepath.Base(name), stat.Uid, stat.Gid, user, group)
		}
	}
}
