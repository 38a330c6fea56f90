package sqlite_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/orderflow/adapters/sqlite"
)

func init() {
	children["mount"] = childMount
	children["open mounted"] = childOpenMounted
}

// childMount runs another child in a mount namespace of its own. Unshare would move only
// one thread there.
func childMount(url string) error {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childVar+"=open mounted")
	c.Stdout = os.Stdout
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return c.Run()
}

// childOpenMounted opens the file where it is mounted alone, and in its mounted folder.
func childOpenMounted(url string) error {
	path := strings.TrimPrefix(url, "sqlite:")
	folder := filepath.Dir(filepath.Dir(path))
	for from, to := range map[string]string{path: filepath.Join(folder, "alone.db"), filepath.Dir(path): filepath.Join(folder, "folder")} {
		if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	for _, name := range []string{"alone.db", "folder/orderflow.db"} {
		if err := printOpen("sqlite:" + filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

// A file that is mounted without its folder has another log there. A mounted folder has
// the same one.
func TestOpenMounted(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may mount")
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "data", "orderflow.db")
	for _, name := range []string{"data", "folder"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(folder, "alone.db"), nil)
	open(t, "sqlite:"+path, sqlite.Options{})
	c := startChild(t, "mount", "sqlite:"+path)
	got := c.line()
	if strings.HasPrefix(got, "error:") {
		t.Skip("mounting is not allowed here:", got)
	}
	checkRefusal(t, got, filepath.Join(folder, "alone.db"), "it is mounted without its folder")
	c.expect(t, "opened")
}
