package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// rates measures orders a second of each way, and the ceiling.
func (b *bench) rates() experiment {
	turns := []func(context.Context) error{b.measureCeiling, b.measureInsert}
	for _, way := range ways {
		turns = append(turns, func(ctx context.Context) error { return b.measureWay(ctx, way) })
	}
	return experiment{
		what:    "orders a second",
		numbers: []int{1, 2},
		round: func(ctx context.Context) error {
			// What one leaves to the servers to tidy up costs the next, whichever
			// that is.
			for _, i := range rand.Perm(len(turns)) {
				if err := turns[i](ctx); err != nil {
					return err
				}
			}
			return nil
		},
		tables: func() []*table { return []*table{b.ratesTable(), b.ceilingTable(), b.cpuTable()} },
	}
}

func (b *bench) measureWay(ctx context.Context, way string) error {
	return b.playAnew(ctx, way, func(s *stage) error {
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
			"notified. *Ours is* so many times as fast as the way, with the range of the rounds. What the other ways do not\n" +
			"promise stands in original.go, usual.go and outboxed.go.",
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
			t.row(strconv.Itoa(clients), wayTitle(way), whole(f.median(name(n, "orders"))), spread(f[name(n, "orders")], whole), faster,
				short(f.median(name(n, "p50"))), short(f.median(name(n, "p99"))), whole(f.median(name(n, "notified"))))
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

// best is the name of a rate of ours with the clients with whom it is highest.
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
			"consume, acknowledge, until the last one is through. It keeps no record of deliveries, which ours does. With one\n" +
			"client the ceiling is one insert after the other, and nothing else.",
		head: []string{" ", "orders/s", "spread", "share"},
	}
	f := b.figures
	t.row("ceiling", whole(f.median("ceiling")), spread(f["ceiling"], whole), "")
	for _, rate := range []struct{ figure, text string }{{"orders", "answered"}, {"notified", "notified"}} {
		best := b.best(rate.figure)
		share := f.ratio(best, "ceiling")
		t.row("ours, "+rate.text, whole(f.median(best)), spread(f[best], whole), percent(share))
		t.least("75 % of the ceiling, "+rate.text, share, 0.75, percent)
	}
	one := name(rateName(ours, 1), "orders")
	t.row("ceiling with one client", whole(f.median("inserts")), spread(f["inserts"], whole), "")
	t.row("ours with one client", whole(f.median(one)), spread(f[one], whole), percent(f.ratio(one, "inserts")))
	return t
}
