package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/orderflow/services/cmd/proof/harness"
)

func TestComplaints(t *testing.T) {
	const info, warning, failure = `{"level":"INFO","msg":"a"}`, `{"level":"WARN","msg":"b"}`, `{"level":"ERROR","msg":"c"}`
	for _, tt := range []struct {
		name  string
		lines []string
		count int
		first string
	}{
		{"none", []string{info}, 0, ""},
		{"nothing", nil, 0, ""},
		{"two", []string{info, warning, failure}, 2, warning},
	} {
		log := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(log, []byte(strings.Join(tt.lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		p := &process{Process: &harness.Process{Log: log}}
		if count, first := p.complaints(); count != tt.count || first != tt.first {
			t.Errorf("%s: got %d, %q; want %d, %q", tt.name, count, first, tt.count, tt.first)
		}
	}
}
