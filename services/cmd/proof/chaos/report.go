package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// longEnough is a duration in which every kind of fault has its turn.
const longEnough = time.Minute

// row is a line of the report.
type row struct {
	name  string
	value any
}

func tenths(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// report prints the figures and the promises, and reports whether all held.
func (t *trial) report(out io.Writer) (held bool) {
	section := func(title string, rows ...row) {
		fmt.Fprintf(out, "\n%s\n", title)
		for _, r := range rows {
			fmt.Fprintf(out, "  %-58s %v\n", r.name, r.value)
		}
	}

	allBoundaries := t.Scenario == scenarioFaults && t.Duration >= longEnough
	for _, b := range boundaries {
		if allBoundaries && t.made[b.title()] == 0 {
			t.breaks(boundariesMet, "%s", b.name)
		}
	}
	var faults []row
	for _, title := range slices.Sorted(maps.Keys(t.made)) {
		faults = append(faults, row{title, t.made[title]})
	}
	section(fmt.Sprintf("faults, seed %d", t.Seed), faults...)

	l, a := t.load, t.account
	slices.Sort(l.took)
	after := func(percent float64) time.Duration {
		return harness.Percentile(l.took, percent).Round(10 * time.Microsecond)
	}
	section("orders", append([]row{
		{"asked for", len(l.requests)},
		{"answered with 201", a.answered},
		{"stored", len(a.orders)},
		{"notified", a.notified},
		{"requests repeated", l.retries},
		{"answered as replays", l.replays},
		{"answered with 503", l.refused},
		{"events published again by hand", t.duplicates},
		{"notifications repeated in the window", a.inWindow},
		{"notifications repeated outside", a.repeats - a.inWindow},
		{"poison put", len(t.poison)},
		{"poison parked", a.parked},
		{"201 after, median", after(50)},
		{"201 after, 99 of 100", after(99)},
		{"201 after, longest", after(100)},
		{"drained after", tenths(t.drained)},
	}, t.outage...)...)

	for _, channel := range channels {
		section("notifications by "+channel, t.channelRows(channel)...)
	}
	if t.absences != nil {
		section("absent receivers", t.settleAbsences()...)
		for _, channel := range channels {
			fmt.Fprintf(out, "\nthe first message by %s\n%s\n", channel, indent(t.receivers[channel].Sample()))
		}
	}

	if t.limited != nil {
		section("orders with a queue limit in the way at the start", t.limited...)
	}

	var sizes []row
	for _, p := range t.processes {
		sizes = append(sizes, row{p.Name, p.fresh}, row{"", p.rested})
	}
	section("processes, fresh and in the end", sizes...)

	section("promises")
	held = true
	for _, p := range promises {
		if p == catchesUpInTime && t.outage == nil || p == boundariesMet && !allBoundaries ||
			(p == drainsHeld || p == slowsNone) && t.absences == nil {
			continue // not tried
		}
		broken, state := t.breaches(p), "held"
		if len(broken) > 0 {
			held, state = false, fmt.Sprintf("BROKEN %d times", len(broken))
		}
		fmt.Fprintf(out, "  %-58s %s\n", p, state)
		for _, what := range broken[:min(len(broken), 5)] {
			fmt.Fprintf(out, "      %s\n", what)
		}
	}
	return held
}

// channelRows returns what the channel's receiver got.
func (t *trial) channelRows(channel string) []row {
	c := t.account.channels[channel]
	rows := []row{
		{"wanted", c.wanted}, {"arrived", c.arrived}, {"lost", c.wanted - c.arrived}, {"skipped", c.skipped},
		{"refused by the receiver", c.refusals}, {"not verified", len(t.account.arrivalFaults[channel])},
	}
	for _, cause := range causes {
		rows = append(rows, row{"repeated " + string(cause), c.repeats[cause]})
	}
	return rows
}

// indent indents a message's lines for the report.
func indent(message []byte) string {
	text := strings.TrimSpace(strings.ReplaceAll(string(message), "\r\n", "\n"))
	return "  | " + strings.ReplaceAll(text, "\n", "\n  | ")
}
