package main

import (
	"os"
	"os/exec"
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
			count, first, err := (&process{log: log}).complaints()
			if err != nil || count != tt.count || first != tt.first {
				t.Errorf("got %d, %q, %v; want %d, %q", count, first, err, tt.count, tt.first)
			}
		})
	}
}

// What the system tells of a process is found, here of this one.
func TestResident(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("this system has no /proc")
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p := &process{name: "this", cmd: &exec.Cmd{Process: self}}
	now, peak, err := p.resident()
	if err != nil || now < 1 || now > 10_000 || peak < now {
		t.Errorf("got %v MB, at the peak %v, %v", now, peak, err)
	}
}
