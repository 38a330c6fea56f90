package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cpuTimes are the seconds of CPU that everything on this machine has used so
// far, by the programs' names. What has ended is not in them: what lives as
// long as a measurement is complete.
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
	for program, seconds := range after {
		if used := seconds - before[program]; used > 0 {
			f.add(name(under, "cpu", program), used*1e6/float64(orders))
		}
	}
}

func (b *bench) cpuTable() *table {
	t := &table{
		title: "Where the time goes",
		note: fmt.Sprintf("Microseconds of CPU for an order, by program, until it is notified, with %d clients; %q is the load, and\n"+
			"in the ceiling the pipeline itself. An order's share of %d cores is what is left for it at a rate.",
			slices.Max(b.clients), "bench", describeMachine("", "").Cores),
		head: []string{" program", "ours", "ceiling"},
	}
	f := b.figures
	oursUnder, ceilingUnder := name(rateName(ours, slices.Max(b.clients)), "cpu"), name("ceiling", "cpu")
	var programs []string
	sums := make(map[string]float64)
	for figure := range f {
		for _, under := range []string{oursUnder, ceilingUnder} {
			if program, found := strings.CutPrefix(figure, under+"/"); found {
				sums[under] += f.median(figure)
				if !slices.Contains(programs, program) && f.median(figure) >= 1 {
					programs = append(programs, program)
				}
			}
		}
	}
	of := func(under, program string) float64 { return f.median(name(under, program)) }
	least := func(x float64) float64 {
		if math.IsNaN(x) {
			return 0
		}
		return x
	}
	slices.SortFunc(programs, func(x, y string) int {
		return cmp.Or(cmp.Compare(least(of(oursUnder, y)), least(of(oursUnder, x))), cmp.Compare(x, y))
	})
	for _, program := range programs {
		t.row(program, whole(of(oursUnder, program)), whole(of(ceilingUnder, program)))
	}
	t.row("all", whole(sums[oursUnder]), whole(sums[ceilingUnder]))
	return t
}
