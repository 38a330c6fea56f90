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

// printer prints sections of a report.
type printer struct{ io.Writer }

func (p printer) section(title string, rows ...row) {
	fmt.Fprintf(p, "\n%s\n", title)
	for _, r := range rows {
		fmt.Fprintf(p, "  %-58s %v\n", r.name, r.value)
	}
}

// report prints the figures and the promises, and reports whether all held.
func (t *trial) report(out io.Writer) (held bool) {
	p := printer{out}
	allBoundaries := t.Scenario == scenarioFaults && t.Duration >= longEnough
	for _, b := range boundaries {
		if allBoundaries && t.made[b.title()] == 0 {
			t.breaks(boundariesMet, "%s", b.name)
		}
	}
	p.section(fmt.Sprintf("faults, seed %d", t.Seed), t.madeRows()...)
	p.section("orders", append(t.orderRows(), t.outage...)...)
	for _, channel := range channels {
		p.section("notifications by "+channel, t.channelRows(channel)...)
	}
	if t.absences != nil {
		p.section("absent receivers", t.settleAbsences()...)
		for _, channel := range channels {
			fmt.Fprintf(out, "\nthe first message by %s\n%s\n", channel, indent(t.receivers[channel].Sample()))
		}
	}

	if t.limited != nil {
		p.section("orders with a queue limit in the way at the start", t.limited...)
	}

	var sizes []row
	for _, p := range t.processes {
		sizes = append(sizes, row{p.Name, p.fresh}, row{"", p.rested})
	}
	p.section("processes, fresh and in the end", sizes...)
	return t.reportPromises(p, func(line promise) (tried bool) {
		switch line {
		case catchesUpInTime:
			return t.outage != nil
		case boundariesMet:
			return allBoundaries
		case drainsHeld, slowsNone:
			return t.absences != nil
		}
		return !slices.Contains(filePromises, line)
	})
}

// reportPromises prints the promises that were tried, and reports whether all held.
func (t *trial) reportPromises(p printer, tried func(promise) bool) (held bool) {
	p.section("promises")
	held = true
	for _, line := range promises {
		broken, state := t.breaches(line), "held"
		if len(broken) == 0 && !tried(line) {
			continue
		}
		if len(broken) > 0 {
			held, state = false, fmt.Sprintf("BROKEN %d times", len(broken))
		}
		fmt.Fprintf(p, "  %-58s %s\n", line, state)
		for _, what := range broken[:min(len(broken), 5)] {
			fmt.Fprintf(p, "      %s\n", what)
		}
	}
	return held
}

// madeRows returns how often each fault was made.
func (t *trial) madeRows() (rows []row) {
	for _, title := range slices.Sorted(maps.Keys(t.made)) {
		rows = append(rows, row{title, t.made[title]})
	}
	return rows
}

// orderRows returns what became of the orders.
func (t *trial) orderRows() []row {
	l, a := t.load, t.account
	slices.Sort(l.took)
	after := func(percent float64) time.Duration {
		return harness.Percentile(l.took, percent).Round(10 * time.Microsecond)
	}
	return []row{
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
		{"poison put", len(a.poison)},
		{"poison parked", a.parked},
		{"201 after, median", after(50)},
		{"201 after, 99 of 100", after(99)},
		{"201 after, longest", after(100)},
		{"drained after", tenths(t.drained)},
	}
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
