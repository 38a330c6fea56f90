package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// report is the table in the end.
type report struct {
	*stage
	account *account
	held    bool
	out     io.Writer
}

// longEnough is a run in which each kind of fault has its turn.
const longEnough = time.Minute

func (r *report) print(out io.Writer) (held bool) {
	r.out, r.held = out, true
	r.section(fmt.Sprintf("faults, seed %d", r.settings.Seed))
	counts := r.disturber.counts
	allBoundaries := r.settings.Scenario != scenarioOutage && r.settings.Duration >= longEnough
	for _, b := range boundaries {
		if allBoundaries && counts[fault{kind: killAtBoundary, boundary: b}.title()] == 0 {
			r.ledger.breaks(boundariesMet, "%s", b.name)
		}
	}
	for _, title := range slices.Sorted(maps.Keys(counts)) {
		r.figure(title, counts[title])
	}

	r.section("orders")
	l, m, a := r.load, r.disturber.mailman, r.account
	r.figure("asked for", len(l.requests))
	r.figure("answered with 201", a.answered)
	r.figure("stored", a.stored)
	r.figure("notified", a.notified)
	r.figure("requests repeated", l.retries)
	r.figure("answered as replays", l.replays)
	r.figure("answered with 503", l.refused)
	r.figure("events published again by hand", m.duplicates)
	r.figure("notifications repeated in the window", a.inWindow)
	r.figure("notifications repeated outside", a.repeats-a.inWindow)
	r.figure("poison put", len(m.poison))
	r.figure("poison parked", a.parked)
	slices.Sort(l.took)
	for _, p := range []struct {
		name  string
		share float64
	}{{"201 after, median", 0.5}, {"201 after, 99 of 100", 0.99}, {"201 after, longest", 1}} {
		r.figure(p.name, percentile(l.took, p.share).Round(10*time.Microsecond))
	}
	r.figure("drained after", r.figures.drain.Round(100*time.Millisecond))
	if f := r.figures.outage; f != nil {
		r.figure("broker away for", f.down.Round(100*time.Millisecond))
		r.figure("backlog at its return", f.backlog)
		r.figure("backlog empty after", f.emptied.Round(100*time.Millisecond))
	}

	if f := r.figures.limit; f != nil {
		r.section("orders with a queue limit in the way at the start")
		r.figure("answered with 201", f.account.answered)
		r.figure("before it was lifted", f.meanwhile)
		r.figure("stored", f.account.stored)
		r.figure("notified", f.account.notified)
		r.figure("drained after", f.drain.Round(100*time.Millisecond))
	}

	r.section("processes, fresh and in the end")
	for _, p := range r.processes {
		r.figure(p.name, r.figures.start[p.name])
		r.figure("", r.figures.end[p.name])
	}

	r.section("promises")
	for _, p := range promises {
		asked := map[promise]bool{catchesUpInTime: r.figures.outage != nil, boundariesMet: allBoundaries}
		if applies, special := asked[p]; applies || !special {
			r.check(p, r.ledger.of(p))
		}
	}
	return r.held
}

// percentile returns the value below which that share of the sorted ones is.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func (r *report) section(title string) { fmt.Fprintf(r.out, "\n%s\n", title) }

func (r *report) figure(name string, value any) { fmt.Fprintf(r.out, "  %-58s %v\n", name, value) }

// check prints a promise, and the first few of what breaks it.
func (r *report) check(p promise, broken []string) {
	const few = 5
	if len(broken) == 0 {
		r.figure(string(p), "held")
		return
	}
	r.held = false
	r.figure(string(p), fmt.Sprintf("BROKEN %d times", len(broken)))
	for _, what := range broken[:min(len(broken), few)] {
		fmt.Fprintf(r.out, "      %s\n", what)
	}
}
