package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cpuTimes are the seconds of CPU that each running process of this machine has used.
// The keys are the pid and the time of the start: the system uses a pid again.
type cpuTimes map[string]cpuTime

type cpuTime struct {
	program string
	seconds float64
}

const (
	clockTicks    = 100 // a second: USER_HZ, wherever Go runs on Linux
	kernelThreads = "kernel threads"
)

func readCPU() cpuTimes {
	times := make(cpuTimes)
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if id, time, ok := parseStat(stat); ok {
			times[id] = time
		}
	}
	return times
}

// parseStat parses a file of the format proc_pid_stat(5).
func parseStat(stat []byte) (id string, t cpuTime, ok bool) {
	// The name stands in parentheses, and may contain some.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return id, t, false
	}
	const parent, user, system, start = 1, 11, 12, 19 // from the state on
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) <= start {
		return id, t, false
	}
	inUser, err := strconv.ParseFloat(fields[user], 64)
	inSystem, err2 := strconv.ParseFloat(fields[system], 64)
	id = string(stat[:open]) + fields[start]
	t = cpuTime{string(stat[open+1 : end]), (inUser + inSystem) / clockTicks}
	if fields[parent] == "2" || t.program == "kthreadd" {
		t.program = kernelThreads
	}
	return id, t, err == nil && err2 == nil
}

// addCPU adds the microseconds of CPU that each program used for an order.
func (f figures) addCPU(under string, before, after cpuTimes, orders int) {
	all := 0.0
	used := make(map[string]float64)
	for id, t := range after {
		share := max(0, t.seconds-before[id].seconds) * 1e6 / float64(orders)
		used[t.program] += share
		all += share
	}
	for program, share := range used {
		f.add(name(under, "cpu", program), share)
	}
	f.add(name(under, "cpu of all"), all)
}

// medianCPU returns the median of what a program used, which is 0 in a round that did
// not see it, or NaN if none did.
func (f figures) medianCPU(under, program string) float64 {
	samples := f[name(under, "cpu", program)]
	if len(samples) == 0 {
		return math.NaN()
	}
	unseen := make([]float64, len(f[name(under, "cpu of all")])-len(samples))
	return median(slices.Concat(samples, unseen))
}

func (b *bench) cpuTable() *table {
	most := slices.Max(clients)
	t := &table{
		title: "Where the time goes",
		note: fmt.Sprintf("Microseconds of CPU for an order, by program, until it is notified, with %d clients; bench is the load, and\n"+
			"in the ceiling the pipeline itself. Processes that ended meanwhile are left out.", most),
		head: []string{" program", "ours", "embedded", "ceiling"},
	}
	f, under := b.figures, []string{rateName(ours, most), rateName(embedded, most), "ceiling"}
	used := make(map[string]float64) // at most
	for figure := range f {
		for _, u := range under {
			program, found := strings.CutPrefix(figure, name(u, "cpu", ""))
			if found && f.medianCPU(u, program) >= 1 {
				used[program] = max(used[program], f.medianCPU(u, program))
			}
		}
	}
	row := func(of func(under string) float64) (cells []string) {
		for _, u := range under {
			cells = append(cells, whole(of(u)))
		}
		return cells
	}
	for _, program := range slices.SortedFunc(maps.Keys(used), func(x, y string) int {
		return cmp.Or(cmp.Compare(used[y], used[x]), cmp.Compare(x, y))
	}) {
		t.row(program, row(func(u string) float64 { return f.medianCPU(u, program) }))
	}
	t.row("all", row(func(u string) float64 { return f.median(u, "cpu of all") }))
	return t
}
