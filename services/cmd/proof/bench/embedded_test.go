package main

import (
	"path/filepath"
	"testing"
)

// The file that the rounds copy has the orders, and nothing waits in it.
func TestFillFile(t *testing.T) {
	path, copied := filepath.Join(t.TempDir(), "filled.db"), filepath.Join(t.TempDir(), "copied.db")
	if orders := fillFile(t.Context(), path, 10); len(orders) != 10 {
		t.Errorf("%d orders, want 10", len(orders))
	}
	if err := copyFile(path, copied); err != nil {
		t.Fatal(err)
	}
	stored, waiting, err := countFile(copied)
	if err != nil || stored != 10 || waiting != 0 {
		t.Errorf("%d are stored, %d wait, error %v; want 10, 0, nil", stored, waiting, err)
	}
}

func TestCountFile(t *testing.T) {
	if stored, waiting, err := countFile(filepath.Join(t.TempDir(), "none.db")); err == nil {
		t.Errorf("counted %d, %d in no file", stored, waiting)
	}
}
