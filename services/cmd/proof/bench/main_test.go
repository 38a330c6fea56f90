package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The file has each figure's median and samples, and the remarks.
func TestWrite(t *testing.T) {
	b := &bench{figures: figures{"rate": {1, 2, 9}}, progress: io.Discard}
	b.remark("%s warned %d times", "order", 2)
	path := filepath.Join(t.TempDir(), "figures.json")
	if err := b.write(path, "a machine"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"machine": "a machine",
		"figures": map[string]any{"rate": map[string]any{"median": 2.0, "samples": []any{1.0, 2.0, 9.0}}},
		"remarks": []any{"order warned 2 times"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}
