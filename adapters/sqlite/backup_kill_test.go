package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/sqlite"
)

func init() { children["backup"] = childBackup }

// childBackup stops in the middle of a backup.
func childBackup(url string) error {
	_, err := sqlite.Backup(context.Background(), url, backupOf(url), sqlite.BackupOptions{Progress: func(int, int) {
		fmt.Println("copying")
		select {}
	}})
	return err
}

func backupOf(url string) string { return url[len("sqlite:"):] + ".backup" }

// A backup removes what killed ones have left, but nothing that another one writes, and no
// file of the user's.
func TestBackupAfterKilledOnes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderflow.db")
	fill(t, path, 3)
	url, target := "sqlite:"+path, backupOf("sqlite:"+path)
	own := []string{target + ".partial-mine", target + ".partial-1", target + ".partial-x-lock"}
	for _, name := range own {
		write(t, name, []byte("mine"))
	}
	partials := func() int {
		t.Helper()
		names, err := filepath.Glob(target + ".partial-*")
		if err != nil {
			t.Fatal(err)
		}
		return len(names) - len(own)
	}
	c := startChild(t, "backup", url)
	c.expect(t, "copying")
	left := partials()
	if left < 2 {
		t.Fatalf("%d files of the running backup, want the copy and its lock", left)
	}
	if info, err := sqlite.Backup(t.Context(), url, target, sqlite.BackupOptions{}); err != nil || info.Orders != 3 {
		t.Fatalf("%+v, error %v", info, err)
	}
	if n := partials(); n != left {
		t.Errorf("%d files of the running backup, want %d", n, left)
	}
	c.kill(t)
	if info, err := sqlite.Backup(t.Context(), url, target, sqlite.BackupOptions{Replace: true}); err != nil || info.Orders != 3 {
		t.Errorf("%+v, error %v", info, err)
	}
	if n := partials(); n != 0 {
		t.Errorf("%d files of killed backups are left", n)
	}
	for _, name := range own {
		if text, err := os.ReadFile(name); err != nil || cmp.Diff("mine", string(text)) != "" {
			t.Errorf("%s: %q, error %v", name, text, err)
		}
	}
}
