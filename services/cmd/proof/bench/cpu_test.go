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
	const process = "77 100"
	for _, tt := range []struct {
		name, stat string
		id         string
		program    string
		ok         bool
	}{
		{"a program", "77 (order) S 1" + rest, process, "order", true},
		{"a name with parentheses", "77 (a (b) c) R 1" + rest, process, "a (b) c", true},
		{"a thread of the kernel", "77 (kworker/0:1) I 2" + rest, process, kernelThreads, true},
		{"the kernel's first", "2 (kthreadd) S 0" + rest, "2 100", kernelThreads, true},
		{"cut off", "77 (order) S 1 0 0", "", "", false},
		{"no name", "77 order S 1" + rest, "", "", false},
		{"no number", "77 (order) S 1 0 0 0 -1 4194560 1 2 3 4 x 50 7 8 20 0 1 0 100", "", "", false},
		{"nothing", "", "", "", false},
	} {
		id, got, ok := parseStat([]byte(tt.stat))
		if want := (cpuTime{tt.program, 2}); ok != tt.ok || ok && (id != tt.id || got != want) {
			t.Errorf("%s: got %v of %v, %v; want %v of %v, %v", tt.name, got, id, ok, want, tt.id, tt.ok)
		}
	}
}

// The CPU that this test uses is found under its own name.
func TestReadCPU(t *testing.T) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip("this system has no /proc")
	}
	_, self, ok := parseStat(stat)
	if !ok {
		t.Fatalf("can't read %q", stat)
	}
	f := make(figures)
	before := readCPU()
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
		math.Sqrt(float64(time.Now().Nanosecond()))
	}
	f.addCPU("test", before, readCPU(), 1)
	if used := f.median(name("test", "cpu", self.program)); !(used >= 20_000) {
		t.Errorf("%.0f µs of CPU were used by %s in 100 ms of work: %v", used, self.program, f)
	}
}

func TestAddCPU(t *testing.T) {
	f := make(figures)
	f.addCPU("ours/256",
		cpuTimes{"1 5": {"store", 1}, "2 5": {"store", 8}, "3 5": {"idle", 3}, "4 5": {"gone", 2}, "5 5": {"gone", 2}},
		cpuTimes{"1 5": {"store", 1.5}, "3 5": {"idle", 3}, "4 9": {"new", 0.25}, "6 9": {"store", 0.125}}, 1000)
	want := figures{
		// The second process of the store has ended: its use is not subtracted. The third
		// is new: its use counts whole.
		"ours/256/cpu/store": {625}, "ours/256/cpu/idle": {0},
		"ours/256/cpu/new":    {250}, // with a pid that another had
		"ours/256/cpu of all": {875},
	}
	if diff := cmp.Diff(want, f, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}

	f.addCPU("ours/256", cpuTimes{"3 5": {"idle", 3}}, cpuTimes{"3 5": {"idle", 3.5}, "7 20": {"late", 1}}, 1000)
	if got := f["ours/256/cpu of all"]; len(got) != 2 || got[1] != 1500 {
		t.Errorf("all of two rounds: got %v, want 1500 in the second", got)
	}
	medians := make(map[string]float64)
	for _, program := range []string{"store", "idle", "new", "late", "never"} {
		medians[program] = f.medianCPU("ours/256", program)
	}
	// A round that did not see a program counts as 0.
	wantMedians := map[string]float64{"store": 312.5, "idle": 250, "new": 125, "late": 500, "never": math.NaN()}
	if diff := cmp.Diff(wantMedians, medians, cmpopts.EquateApprox(0, 1e-9), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("medians of two rounds (-want +got):\n%s", diff)
	}
}
