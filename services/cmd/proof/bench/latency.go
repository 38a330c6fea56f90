package main

import (
	"context"
	"fmt"
	"time"
)

var shares = []struct {
	text  string
	share float64
}{{"alone", 0}, {"1/10", 0.1}, {"1/2", 0.5}, {"9/10", 0.9}}

// alone is the least rate that is measured: each order finds the services idle.
const alone = 5 // orders a second

// measureLatencies measures the time from an order to its notification.
func (b *bench) measureLatencies(ctx context.Context) {
	var turns []func()
	for _, way := range ourWays {
		turns = append(turns, func() {
			s := b.newStage(way)
			defer s.close(ctx)
			s.start(ctx, 1)
			if b.best(way, "notified") == "" { // the rates were not measured
				s.measure(ctx, 64, rateName(way, 64))
			}
			highest := b.figures.median(b.best(way, "notified"))
			for _, share := range shares {
				s.measureLatency(ctx, max(share.share*highest, alone), latencyName(way, share.text))
			}
			s.finish(ctx)
		})
	}
	inTurns(turns)
}

func latencyName(way, share string) string { return name("latency", way, share) }

// measureLatency places orders at the rate.
func (s *stage) measureLatency(ctx context.Context, rate float64, under string) {
	const clients = 256 // enough that one is free when an order is due
	_, _, err := s.place(ctx, clients, rate, s.duration/5)
	check(err)
	all := s.placeNotified(ctx, clients, rate, s.duration)
	notified := make([]time.Duration, len(all))
	for i, a := range all {
		notified[i] = s.notices.at[a.order].Sub(a.since)
	}
	s.figures.add(name(under, "rate"), rate)
	s.figures.addPercentiles(name(under, "answered"), latencies(all))
	s.figures.addPercentiles(name(under, "notified"), notified)
}

func (b *bench) latencyTables() []*table {
	t := &table{
		title: "3. Order to notification",
		note: "Open loop: orders are due at even intervals, at a share of the highest rate at which the way notifies, or\n" +
			"alone. Times count from when the order was due.",
		head: []string{" way", " share", "orders/s", "answered p50 ms", "p99 ms", "notified p50 ms", "spread", "p99 ms", "spread"},
	}
	f := b.figures
	for _, way := range ourWays {
		for _, share := range shares {
			n := latencyName(way, share.text)
			t.row(way, share.text, f.cells(whole, n, "rate"), f.cells(short, n, "answered/p50", "answered/p99"),
				f.withSpread(short, n, "notified", "p50"), f.withSpread(short, n, "notified", "p99"))
		}
	}
	for _, want := range []struct {
		percentile string
		under      float64 // ms
	}{{"p50", 5}, {"p99", 20}} {
		took := f.median(latencyName(embedded, "1/10"), "notified", want.percentile)
		t.target(fmt.Sprintf("embedded at 1/10: notified %s under %v ms", want.percentile, want.under), ms(took), took < want.under)
	}
	return []*table{t}
}
