package main

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// inTurns calls each function once, in random order: the servers still tidy up after
// one while the next is measured.
func inTurns(turns []func()) {
	for _, i := range rand.Perm(len(turns)) {
		turns[i]()
	}
}

// measureRates measures orders a second of each way, and the ceiling.
func (b *bench) measureRates(ctx context.Context) {
	turns := []func(){func() { b.measureCeiling(ctx) }, func() { b.measureInserts(ctx) }}
	for _, way := range ways {
		turns = append(turns, func() {
			s := b.newStage(way)
			defer s.close(ctx)
			s.start(ctx, 1)
			for _, n := range clients {
				s.measure(ctx, n, rateName(way, n))
			}
			s.finish(ctx)
		})
	}
	inTurns(turns)
}

func rateName(way string, clients int) string { return name("rates", way, clients) }

// best names the highest of the way's rates, over all numbers of clients.
func (b *bench) best(way, rate string) string {
	var best string
	highest := 0.0
	for _, clients := range clients {
		n := name(rateName(way, clients), rate)
		if median := b.figures.median(n); median > highest {
			best, highest = n, median
		}
	}
	return best
}

func (b *bench) rateTables() []*table {
	return []*table{b.ratesTable(), b.ceilingTable(), b.cpuTable()}
}

func (b *bench) ratesTable() *table {
	t := &table{
		title: "1. Orders a second",
		note: "Closed loop: each client waits for its answer. *Notified* is the rate until the last of the orders was\n" +
			"notified. *Embedded* is ours as one process with a file, and without servers. *Ours is* and *embedded is* are\n" +
			"the factors by which they are faster, with the range of the rounds. The comments in ways.go list what the\n" +
			"other ways do not promise.",
		head: []string{"clients", " way", "orders/s", "spread", "ours is", "embedded is", "p50 ms", "p99 ms", "notified/s"},
	}
	f := b.figures
	for _, clients := range clients {
		for _, way := range ways {
			n := rateName(way, clients)
			var faster []string
			for _, our := range ourWays {
				text := ""
				if way != our {
					ratios := f.ratios(name(rateName(our, clients), "orders"), name(n, "orders"))
					text = fmt.Sprintf("%s (%s)", times(median(ratios)), spread(ratios, short))
				}
				faster = append(faster, text)
			}
			t.row(clients, way, f.withSpread(whole, n, "orders"), faster, f.cells(short, n, "p50", "p99"), f.cells(whole, n, "notified"))
		}
	}
	for _, want := range []struct {
		way     string
		clients int
		times   []float64 // each other way
	}{
		{ours, 256, []float64{12, 6, 6}}, {ours, 64, []float64{9, 5, 5}}, {ours, 1, []float64{2, 2, 2}},
		{embedded, 256, []float64{12}}, {embedded, 64, []float64{9}},
	} {
		for i, least := range want.times {
			other := otherWays[i]
			factor := f.ratio(name(rateName(want.way, want.clients), "orders"), name(rateName(other, want.clients), "orders"))
			t.target(fmt.Sprintf("%s: %v times the rate of %s, clients: %d", want.way, least, other, want.clients), times(factor), factor >= least)
		}
	}
	p99 := f.ratio(name(rateName(ours, 256), "p99"), name(rateName(original, 256), "p99"))
	t.target("ours: p99 at 256 clients: at most a third of the original's", percent(p99), p99 <= 1.0/3)
	return t
}

func (b *bench) ceilingTable() *table {
	t := &table{
		title: "2. Share of the ceiling",
		note: "The ceiling is the bare pipeline without HTTP and ports, by hand: insertMany, publish with confirms, mark,\n" +
			"consume, acknowledge, until the last one is through. Unlike ours it records no deliveries. With one client\n" +
			"the ceiling is one insert after the other, and nothing else.",
		head: []string{" ", "orders/s", "spread", "share"},
	}
	f, one := b.figures, name(rateName(ours, 1), "orders")
	t.row("ceiling", f.withSpread(whole, "ceiling"), "")
	for _, rate := range []struct{ figure, text string }{{"orders", "answered"}, {"notified", "notified"}} {
		best := b.best(ours, rate.figure)
		share := f.ratio(best, "ceiling")
		t.row("ours, "+rate.text, f.withSpread(whole, best), percent(share))
		t.target("75 % of the ceiling, "+rate.text, percent(share), share >= 0.75)
	}
	t.row("ceiling with one client", f.withSpread(whole, "inserts"), "")
	t.row("ours with one client", f.withSpread(whole, one), percent(f.ratio(one, "inserts")))
	return t
}
