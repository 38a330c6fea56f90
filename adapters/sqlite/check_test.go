package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestCheck(t *testing.T) {
	filled := func(t *testing.T, path string) {
		s := openInside(t, path, Options{})
		for n := range 50 {
			if err := s.Orders().Add(t.Context(), newOrder(t, n), domain.Origin{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	write := func(t *testing.T, path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string
		make  func(t *testing.T, path string)
		what  string // the finding with the fault; empty: none
		fault string // with the way out
	}{
		{"no file", func(*testing.T, string) {}, "", ""},
		{"empty file", func(t *testing.T, path string) { write(t, path, "") }, "", ""},
		{"closed store", filled, "", ""},
		{"open store", func(t *testing.T, path string) { openInside(t, path, Options{}) }, "", ""},
		{"no folder", func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, "folder", "make it"},
		{"folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "file", "it is a folder; give the path of a file"},
		{"other file", func(t *testing.T, path string) { write(t, path, strings.Repeat("no database ", 1000)) }, "tables", "no SQLite database"},
		{"newer version", func(t *testing.T, path string) {
			filled(t, path)
			c, err := (&file{path: path}).dial()
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			if err := c.conn.Exec("PRAGMA user_version = 99"); err != nil {
				t.Fatal(err)
			}
		}, "tables", "start that release"},
		{"moved data", func(t *testing.T, path string) {
			s := openInside(t, path, Options{})
			if err := s.BeginMove(t.Context(), "mongodb://there/d"); err != nil {
				t.Fatal(err)
			}
			if err := s.EndMove(t.Context(), "mongodb://there/d"); err != nil {
				t.Fatal(err)
			}
		}, "tables", "orderflow move --undo"},
		{"damaged page", func(t *testing.T, path string) {
			filled(t, path)
			file, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			info, err := file.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteAt([]byte("damage"), info.Size()-(4<<10)); err != nil {
				t.Fatal(err)
			}
		}, "integrity", "backup"},
		{"truncated file", func(t *testing.T, path string) {
			filled(t, path)
			if err := os.Truncate(path, 12<<10); err != nil {
				t.Fatal(err)
			}
		}, "tables", "backup"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(folder, "orderflow.db")
			tt.make(t, path)
			before := listing(folder)
			found := Check(t.Context(), scheme+path)
			faults := slices.DeleteFunc(slices.Clone(found), func(f ports.Finding) bool { return f.Fault == "" })
			switch {
			case tt.what == "":
				if len(faults) > 0 || len(found) < 4 {
					t.Errorf("found %+v, want no fault", found)
				}
			case !slices.ContainsFunc(faults, func(f ports.Finding) bool {
				return f.What == tt.what && f.WayOut != "" && strings.Contains(f.Fault+"; "+f.WayOut, tt.fault)
			}):
				t.Errorf("found %+v, want the fault %s: %s", found, tt.what, tt.fault)
			}
			if after := listing(folder); !slices.Equal(before, after) {
				t.Errorf("the check has changed the folder from %q to %q", before, after)
			}
		})
	}
}

// listing returns the names of the files in the folder.
func listing(folder string) (names []string) {
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A check ends with its context, and a wrong URL is a fault.
func TestCheckEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderflow.db")
	openInside(t, path, Options{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	found := Check(ended, scheme+path)
	if !slices.ContainsFunc(found, func(f ports.Finding) bool { return f.Fault != "" }) {
		t.Errorf("the context has ended: found %+v", found)
	}
	if found := Check(t.Context(), "sqlite:x?synchronous=off"); len(found) != 1 || found[0].What != "URL" || !strings.Contains(found[0].Fault, "power loss") {
		t.Errorf("wrong URL: found %+v", found)
	}
}
