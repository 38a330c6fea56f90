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

// cpuTimes are the seconds of CPU that everything on this machine has used so
// far, by the programs' names. What has ended is not in them.
type cpuTimes map[string]float64

const (
	clockTicks    = 100 // a second: USER_HZ on every Linux that Go runs on
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
		if name, seconds, ok := parseStat(stat); ok {
			times[name] += seconds
		}
	}
	return times
}

// parseStat reads a process's file: see proc_pid_stat(5).
func parseStat(stat []byte) (name string, seconds float64, ok bool) {
	// The name is in parentheses, and may have some of its own.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return "", 0, false
	}
	name = string(stat[open+1 : end])
	const parent, user, system = 1, 11, 12 // from the state on
	fields := bytes.Fields(stat[end+1:])
	if len(fields) <= system {
		return "", 0, false
	}
	if string(fields[parent]) == "2" || name == "kthreadd" {
		name = kernelThreads
	}
	for _, field := range fields[user : system+1] {
		ticks, err := strconv.ParseFloat(string(field), 64)
		if err != nil {
			return "", 0, false
		}
		seconds += ticks / clockTicks
	}
	return name, seconds, true
}

// addCPU adds how many microseconds of CPU each program has used for an order.
func (f figures) addCPU(under string, before, after cpuTimes, orders int) {
	all := 0.0
	for program, seconds := range after {
		used := max(0, seconds-before[program]) * 1e6 / float64(orders)
		f.add(name(under, "cpu", program), used)
		all += used
	}
	f.add(name(under, "cpu of all"), all)
}

func (b *bench) cpuTable() *table {
	t := &table{
		title: "Where the time goes",
		note: fmt.Sprintf("Microseconds of CPU for an order, by program, until it is notified, with %d clients; bench is the load, and\n"+
			"in the ceiling the pipeline itself. What a process has used that ended meanwhile is left out.", slices.Max(b.clients)),
		head: []string{" program", "ours", "ceiling"},
	}
	f := b.figures
	here, there := rateName(ours, slices.Max(b.clients)), "ceiling"
	programs := make(map[string]float64) // what of them is sorted by
	for figure := range f {
		for _, under := range []string{here, there} {
			program, found := strings.CutPrefix(figure, name(under, "cpu")+"/")
			if found && f.median(figure) >= 1 {
				programs[program] = orZero(f.median(name(here, "cpu", program)))
			}
		}
	}
	for _, program := range slices.SortedFunc(maps.Keys(programs), func(x, y string) int {
		return cmp.Or(cmp.Compare(programs[y], programs[x]), cmp.Compare(x, y))
	}) {
		t.row(program, whole(f.median(name(here, "cpu", program))), whole(f.median(name(there, "cpu", program))))
	}
	t.row("all", whole(f.median(name(here, "cpu of all"))), whole(f.median(name(there, "cpu of all"))))
	return t
}
