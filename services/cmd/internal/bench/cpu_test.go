package main

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseStat(t *testing.T) {
	const rest = " 0 0 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 1 0 100"
	tests := []struct {
		name, stat, program string
		seconds             float64
		ok                  bool
	}{
		{"a program", "77 (order) S 1" + rest, "order", 2, true},
		{"a name with parentheses", "77 (a (b) c) R 1" + rest, "a (b) c", 2, true},
		{"a thread of the kernel", "77 (kworker/0:1) I 2" + rest, kernelThreads, 2, true},
		{"the kernel's first", "2 (kthreadd) S 0" + rest, kernelThreads, 2, true},
		{"cut off", "77 (order) S 1 0 0", "", 0, false},
		{"no name", "77 order S 1" + rest, "", 0, false},
		{"no number", "77 (order) S 1 0 0 0 -1 4194560 1 2 3 4 x 50 7", "", 0, false},
		{"nothing", "", "", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			program, seconds, ok := parseStat([]byte(tt.stat))
			if program != tt.program || seconds != tt.seconds || ok != tt.ok {
				t.Errorf("got %q, %v s, %v; want %q, %v s, %v", program, seconds, ok, tt.program, tt.seconds, tt.ok)
			}
		})
	}
}

// What this test uses is found, under its own name.
func TestReadCPU(t *testing.T) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip("this system has no /proc")
	}
	self, _, ok := parseStat(stat)
	if !ok {
		t.Fatalf("can't read %q", stat)
	}
	f := make(figures)
	before := readCPU()
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
		math.Sqrt(float64(time.Now().Nanosecond()))
	}
	f.addCPU("test", before, readCPU(), 1)
	if used := f.median(name("test", "cpu", self)); !(used >= 20_000) {
		t.Errorf("%.0f µs of CPU were used by %s in 100 ms of work: %v", used, self, f)
	}
}

func TestAddCPU(t *testing.T) {
	f := make(figures)
	f.addCPU("ours/256", cpuTimes{"store": 1, "idle": 3, "gone": 2}, cpuTimes{"store": 1.5, "idle": 3, "new": 0.25}, 1000)
	want := figures{"ours/256/cpu/store": {500}, "ours/256/cpu/idle": {0}, "ours/256/cpu/new": {250}, "ours/256/cpu of all": {750}}
	if diff := cmp.Diff(want, f, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}
