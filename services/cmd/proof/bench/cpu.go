package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cpuTimes are the seconds of CPU that each running process of this machine has used.
type cpuTimes map[processID]cpuTime

// processID stays unique when the system uses the pid again.
type processID struct{ pid, start string }

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
func parseStat(stat []byte) (id processID, t cpuTime, ok bool) {
	// The name stands in parentheses, and may contain some.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return id, t, false
	}
	t.program = string(stat[open+1 : end])
	const parent, user, system, start = 1, 11, 12, 19 // from the state on
	fields := bytes.Fields(stat[end+1:])
	if len(fields) <= start {
		return id, t, false
	}
	id = processID{string(bytes.TrimSpace(stat[:open])), string(fields[start])}
	if string(fields[parent]) == "2" || t.program == "kthreadd" {
		t.program = kernelThreads
	}
	for _, field := range fields[user : system+1] {
		ticks, err := strconv.ParseFloat(string(field), 64)
		if err != nil {
			return id, t, false
		}
		t.seconds += ticks / clockTicks
	}
	return id, t, true
}

// addCPU adds the microseconds of CPU that each program used for an order. A program
// that only other rounds saw gets 0.
func (f figures) addCPU(under string, before, after cpuTimes, orders int) {
	ofAll, ofPrograms := name(under, "cpu of all"), name(under, "cpu")+"/"
	rounds := len(f[ofAll])
	all := 0.0
	used := make(map[string]float64)
	for id, t := range after {
		share := max(0, t.seconds-before[id].seconds) * 1e6 / float64(orders)
		used[ofPrograms+t.program] += share
		all += share
	}
	for figure := range f {
		if _, seen := used[figure]; !seen && strings.HasPrefix(figure, ofPrograms) {
			used[figure] = 0
		}
	}
	for figure, share := range used {
		for len(f[figure]) < rounds {
			f.add(figure, 0)
		}
		f.add(figure, share)
	}
	f.add(ofAll, all)
}

func (b *bench) cpuTable() *table {
	t := &table{
		title: "Where the time goes",
		note: fmt.Sprintf("Microseconds of CPU for an order, by program, until it is notified, with %d clients; bench is the load, and\n"+
			"in the ceiling the pipeline itself. Processes that ended meanwhile are left out.", slices.Max(b.clients)),
		head: []string{" program", "ours", "ceiling"},
	}
	f := b.figures
	here, there := rateName(ours, slices.Max(b.clients)), "ceiling"
	programs := make(map[string]float64) // by our CPU for an order
	for figure := range f {
		for _, under := range []string{here, there} {
			program, found := strings.CutPrefix(figure, name(under, "cpu")+"/")
			if found && f.median(figure) >= 1 {
				programs[program] = orZero(f.median(here, "cpu", program))
			}
		}
	}
	for _, program := range slices.SortedFunc(maps.Keys(programs), func(x, y string) int {
		return cmp.Or(cmp.Compare(programs[y], programs[x]), cmp.Compare(x, y))
	}) {
		t.row(program, whole(f.median(here, "cpu", program)), whole(f.median(there, "cpu", program)))
	}
	t.row("all", whole(f.median(here, "cpu of all")), whole(f.median(there, "cpu of all")))
	return t
}
