package main

import (
	"context"
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
	s := b.newStage(ours)
	defer s.close(ctx)
	s.start(ctx, 1)
	if b.best("notified") == "" { // the rates were not measured
		s.measure(ctx, 64, rateName(ours, 64))
	}
	highest := b.figures.median(b.best("notified"))
	for _, share := range shares {
		s.measureLatency(ctx, max(share.share*highest, alone), name("latency", share.text))
	}
	s.finish(ctx)
}

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
		note: "Open loop: orders are due at even intervals, at a share of the highest rate at which ours notifies, or alone.\n" +
			"Times count from when the order was due.",
		head: []string{" share", "orders/s", "answered p50 ms", "p99 ms", "notified p50 ms", "spread", "p99 ms", "spread"},
	}
	f := b.figures
	for _, share := range shares {
		n := name("latency", share.text)
		t.row(share.text, f.cells(whole, n, "rate"), f.cells(short, n, "answered/p50", "answered/p99"),
			f.withSpread(short, n, "notified", "p50"), f.withSpread(short, n, "notified", "p99"))
	}
	return []*table{t}
}
