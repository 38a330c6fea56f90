//go:build unix

package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/orderflow/adapters/sqlite"
)

func init() { children["open"] = childOpen }

// childOpen opens the file without the rights of root, and prints the error.
func childOpen(url string) error {
	if os.Getuid() == 0 {
		const nobody = 65534
		if err := syscall.Setuid(nobody); err != nil {
			return err
		}
	}
	return printOpen(url)
}

func printOpen(url string) error {
	s, err := sqlite.Open(context.Background(), url, sqlite.Options{})
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), "\n", `\n`))
		return nil
	}
	fmt.Println("opened")
	return s.Close(context.Background())
}

func TestOpenWithoutRights(t *testing.T) {
	for _, tt := range []struct {
		name         string
		file, folder fs.FileMode // of others
		want         string
	}{
		{"a file that may be read", 4, 7, "it can't be written"},
		{"a file that may not be read", 0, 7, "it can't be written"},
		{"a folder that may be read", 6, 5, "it can't be written"},
		{"a folder that may not be entered", 6, 0, "it can't be written"},
		{"all rights", 6, 7, "opened"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "orderflow.db")
			_ = os.Chmod(filepath.Dir(filepath.Dir(path)), 0o711)
			fill(t, path, 1)
			t.Cleanup(func() { _ = os.Chmod(filepath.Dir(path), 0o700) })
			if err := errors.Join(os.Chmod(path, tt.file*0o111), os.Chmod(filepath.Dir(path), tt.folder*0o111)); err != nil {
				t.Fatal(err)
			}
			got := startChild(t, "open", "sqlite:"+path).line()
			if tt.want == "opened" {
				if got != tt.want {
					t.Errorf("got %s", got)
				}
				return
			}
			checkRefusal(t, got, path, tt.want)
			if strings.Contains(got, "unavailable") {
				t.Errorf("error %s, want ErrRefused", got)
			}
		})
	}
}

// A stopped process keeps its claims, and those of a process that ends are free.
func TestStoppedProcessKeepsItsClaims(t *testing.T) {
	url := newURL(t)
	s := open(t, url, sqlite.Options{})
	c := startChild(t, "hold", url)
	c.expect(t, "holds")
	if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each looks for dead owners
		if n, err := s.OtherOwners(t.Context()); n != 1 || err != nil {
			t.Errorf("%d other owners, error %v, want 1", n, err)
		}
	}
	if n := claimAll(t, s, 0); n != 0 {
		t.Errorf("claimed %d events of a process that lives", n)
	}
	if err := c.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	_ = c.stdin.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if n := claimAll(t, s, 0); n != 3 {
		t.Errorf("claimed %d events, want 3", n)
	}
}
