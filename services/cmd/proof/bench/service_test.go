package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestComplaints(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		count int
		first string
	}{
		{"none", []string{`{"level":"INFO","msg":"a"}`}, 0, ""},
		{"nothing", nil, 0, ""},
		{"two", []string{`{"level":"INFO","msg":"a"}`, `{"level":"WARN","msg":"b"}`, `{"level":"ERROR","msg":"c"}`}, 2, `{"level":"WARN","msg":"b"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(log, []byte(strings.Join(tt.lines, "\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			count, first, err := complaints(log)
			if err != nil || count != tt.count || first != tt.first {
				t.Errorf("got %d, %q, %v; want %d, %q", count, first, err, tt.count, tt.first)
			}
		})
	}
}
