package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
)

// inTurns calls each function once, in random order: the servers still tidy up after
// one while the next is measured.
func inTurns(turns []func() error) error {
	for _, i := range rand.Perm(len(turns)) {
		if err := turns[i](); err != nil {
			return err
		}
	}
	return nil
}

// rates measures orders a second of each way, and the ceiling.
func (b *bench) rates() experiment {
	return experiment{
		what:    "orders a second",
		numbers: []int{1, 2},
		round: func(ctx context.Context) error {
			turns := []func() error{
				func() error { return b.measureCeiling(ctx) },
				func() error { return b.measureInserts(ctx) },
			}
			for _, way := range ways {
				turns = append(turns, func() error { return b.measureWay(ctx, way) })
			}
			return inTurns(turns)
		},
		tables: func() []*table { return []*table{b.ratesTable(), b.ceilingTable(), b.cpuTable()} },
	}
}

func (b *bench) measureWay(ctx context.Context, way string) error {
	return b.playAnew(ctx, way, 1, func(s *stage) error {
		for _, clients := range b.clients {
			if err := s.measure(ctx, clients, rateName(way, clients)); err != nil {
				return fmt.Errorf("%d clients: %w", clients, err)
			}
		}
		return nil
	})
}

func rateName(way string, clients int) string { return name("rates", way, clients) }

func (b *bench) ratesTable() *table {
	t := &table{
		title: "1. Orders a second",
		note: "Closed loop: each client waits for its answer. *Notified* is the rate until the last of the orders was\n" +
			"notified. *Ours is* the factor by which ours is faster, with the range of the rounds. The comments in\n" +
			"original.go, usual.go and outboxed.go list what the other ways do not promise.",
		head: []string{"clients", " way", "orders/s", "spread", "ours is", "p50 ms", "p99 ms", "notified/s"},
	}
	f := b.figures
	for _, clients := range b.clients {
		for _, way := range ways {
			n := rateName(way, clients)
			faster := ""
			if way != ours {
				ratios := f.ratios(name(rateName(ours, clients), "orders"), name(n, "orders"))
				faster = fmt.Sprintf("%s (%s)", times(median(ratios)), spread(ratios, short))
			}
			t.row(slices.Concat([]string{strconv.Itoa(clients), wayTitle(way)}, f.withSpread(whole, n, "orders"), []string{faster},
				f.cells(short, n, "p50", "p99"), f.cells(whole, n, "notified"))...)
		}
	}
	for _, want := range []struct {
		clients         int
		original, usual float64
	}{{256, 12, 6}, {64, 9, 5}, {1, 2, 2}} {
		for _, other := range []struct {
			way, text string
			times     float64
		}{
			{original, "the original's way", want.original},
			{usual, "the usual way", want.usual},
			{outboxed, "the usual way with outbox and log", want.usual},
		} {
			t.least(fmt.Sprintf("%v times %s, clients: %d", other.times, other.text, want.clients),
				f.ratio(name(rateName(ours, want.clients), "orders"), name(rateName(other.way, want.clients), "orders")), other.times, times)
		}
	}
	t.most("p99 at 256 clients: at most a third of the original's",
		f.ratio(name(rateName(ours, 256), "p99"), name(rateName(original, 256), "p99")), 1.0/3, percent)
	return t
}

// best names the highest of our rates, over all numbers of clients.
func (b *bench) best(rate string) string {
	var best string
	highest := 0.0
	for _, clients := range b.clients {
		n := name(rateName(ours, clients), rate)
		if median := b.figures.median(n); median > highest {
			best, highest = n, median
		}
	}
	return best
}

func (b *bench) ceilingTable() *table {
	t := &table{
		title: "2. Share of the ceiling",
		note: "The ceiling is the bare pipeline without HTTP and ports, by hand: insertMany, publish with confirms, mark,\n" +
			"consume, acknowledge, until the last one is through. Unlike ours it records no deliveries. With one client\n" +
			"the ceiling is one insert after the other, and nothing else.",
		head: []string{" ", "orders/s", "spread", "share"},
	}
	f := b.figures
	row := func(text, figure, share string) {
		t.row(slices.Concat([]string{text}, f.withSpread(whole, figure), []string{share})...)
	}
	row("ceiling", "ceiling", "")
	for _, rate := range []struct{ figure, text string }{{"orders", "answered"}, {"notified", "notified"}} {
		best := b.best(rate.figure)
		share := f.ratio(best, "ceiling")
		row("ours, "+rate.text, best, percent(share))
		t.least("75 % of the ceiling, "+rate.text, share, 0.75, percent)
	}
	one := name(rateName(ours, 1), "orders")
	row("ceiling with one client", "inserts", "")
	row("ours with one client", one, percent(f.ratio(one, "inserts")))
	return t
}

var instances = []int{1, 2, 4}

// services measures several order services on one store.
func (b *bench) services() experiment {
	return experiment{
		what:    "several services",
		numbers: []int{6},
		round: func(ctx context.Context) error {
			var turns []func() error
			for _, n := range instances {
				turns = append(turns, func() error {
					return b.playAnew(ctx, ours, n, func(s *stage) error { return s.measure(ctx, 256, name("services", n)) })
				})
			}
			return inTurns(turns)
		},
		tables: func() []*table { return []*table{b.servicesTable()} },
	}
}

func (b *bench) servicesTable() *table {
	t := &table{
		title: "6. Several order services on one store",
		note:  "256 clients in all, who share the services; one notification service.",
		head:  []string{"services", "orders/s", "spread", "of one's", "p50 ms", "p99 ms"},
	}
	f := b.figures
	for _, n := range instances {
		of := name("services", n)
		share := percent(f.ratio(name(of, "orders"), name("services", instances[0], "orders")))
		t.row(slices.Concat([]string{strconv.Itoa(n)}, f.withSpread(whole, of, "orders"), []string{share}, f.cells(short, of, "p50", "p99"))...)
	}
	return t
}
