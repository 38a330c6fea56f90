package main

import (
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Figures that are not finite are null, and remarks are kept.
func TestWrite(t *testing.T) {
	b := &bench{figures: figures{"rate": {1, math.NaN(), 3}, "none": {math.NaN()}}, progress: io.Discard}
	b.remark("%s warned %d times", "order", 2)
	path := filepath.Join(t.TempDir(), "figures.json")
	if err := b.write(path, machine{}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Figures, Remarks any
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	figures := map[string]any{
		"rate": map[string]any{"median": 2.0, "samples": []any{1.0, nil, 3.0}},
		"none": map[string]any{"median": nil, "samples": []any{nil}},
	}
	if diff := cmp.Diff(figures, got.Figures); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(any([]any{"order warned 2 times"}), got.Remarks); diff != "" {
		t.Errorf("remarks (-want +got):\n%s", diff)
	}
}
