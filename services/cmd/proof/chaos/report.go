package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// longEnough is a duration in which every kind of fault has its turn.
const longEnough = time.Minute

// report prints the figures and the promises, and reports whether all held.
func (t *trial) report(out io.Writer, a *account) (held bool) {
	section := func(title string) { fmt.Fprintf(out, "\n%s\n", title) }
	figure := func(name string, value any) { fmt.Fprintf(out, "  %-58s %v\n", name, value) }
	tenths := func(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

	section(fmt.Sprintf("faults, seed %d", t.Seed))
	allBoundaries := t.Scenario != scenarioOutage && t.Duration >= longEnough
	for _, b := range boundaries {
		if allBoundaries && t.made[fault{kind: killAtBoundary, boundary: b}.title()] == 0 {
			t.breaks(boundariesMet, "%s", b.name)
		}
	}
	for _, title := range slices.Sorted(maps.Keys(t.made)) {
		figure(title, t.made[title])
	}

	section("orders")
	l := t.load
	figure("asked for", len(l.requests))
	figure("answered with 201", a.answered)
	figure("stored", a.stored)
	figure("notified", a.notified)
	figure("requests repeated", l.retries)
	figure("answered as replays", l.replays)
	figure("answered with 503", l.refused)
	figure("events published again by hand", t.duplicates)
	figure("notifications repeated in the window", a.inWindow)
	figure("notifications repeated outside", a.repeats-a.inWindow)
	figure("poison put", len(t.poison))
	figure("poison parked", a.parked)
	slices.Sort(l.took)
	figure("201 after, median", harness.Percentile(l.took, 50).Round(10*time.Microsecond))
	figure("201 after, 99 of 100", harness.Percentile(l.took, 99).Round(10*time.Microsecond))
	figure("201 after, longest", harness.Percentile(l.took, 100).Round(10*time.Microsecond))
	figure("drained after", tenths(t.drained))
	if o := t.outage; o != nil {
		figure("broker away for", tenths(o.down))
		figure("backlog at its return", o.backlog)
		figure("backlog empty after", tenths(o.emptied))
	}

	if l := t.limited; l != nil {
		section("orders with a queue limit in the way at the start")
		figure("answered with 201", l.answered)
		figure("before it was lifted", l.meanwhile)
		figure("drained after", tenths(l.drained))
	}

	section("processes, fresh and in the end")
	for _, p := range t.processes {
		figure(p.Name, t.fresh[p.Name])
		figure("", t.rested[p.Name])
	}

	section("promises")
	held = true
	for _, p := range promises {
		if p == catchesUpInTime && t.outage == nil || p == boundariesMet && !allBoundaries {
			continue // not tried
		}
		broken := t.breaches(p)
		if len(broken) == 0 {
			figure(string(p), "held")
			continue
		}
		held = false
		figure(string(p), fmt.Sprintf("BROKEN %d times", len(broken)))
		const few = 5
		for _, what := range broken[:min(len(broken), few)] {
			fmt.Fprintf(out, "      %s\n", what)
		}
	}
	return held
}
