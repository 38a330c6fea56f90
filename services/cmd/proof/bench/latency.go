package main

import (
	"context"
	"slices"
	"time"
)

var shares = []struct {
	text  string
	share float64
}{{"1/10", 0.1}, {"1/2", 0.5}, {"9/10", 0.9}}

// latency measures the time from an order to its notification.
func (b *bench) latency() experiment {
	return experiment{
		what:    "order to notification",
		numbers: []int{3},
		round: func(ctx context.Context) error {
			return b.playAnew(ctx, ours, 1, func(s *stage) error {
				if b.best("notified") == "" { // the rates were not measured
					if err := s.measure(ctx, 64, rateName(ours, 64)); err != nil {
						return err
					}
				}
				highest := b.figures.median(b.best("notified"))
				for _, share := range shares {
					if err := s.measureLatency(ctx, share.share*highest, name("latency", share.text)); err != nil {
						return err
					}
				}
				return nil
			})
		},
		tables: func() []*table { return []*table{b.latencyTable()} },
	}
}

// measureLatency places orders at the rate.
func (s *stage) measureLatency(ctx context.Context, rate float64, under string) error {
	const clients = 256 // enough that one is free when an order is due
	if _, _, err := s.load(ctx, clients, rate, s.duration/5); err != nil {
		return err
	}
	all, err := s.loadNotified(ctx, clients, rate, s.duration)
	if err != nil {
		return err
	}
	notified := make([]time.Duration, len(all))
	for i, a := range all {
		notified[i] = s.notices.at[a.order].Sub(a.since)
	}
	slices.Sort(notified)
	s.figures.add(name(under, "rate"), rate)
	s.figures.addPercentiles(name(under, "answered"), latencies(all))
	s.figures.addPercentiles(name(under, "notified"), notified)
	return nil
}

func (b *bench) latencyTable() *table {
	t := &table{
		title: "3. Order to notification",
		note: "Open loop: orders are due at even intervals, at a share of the highest rate at which ours notifies; times\n" +
			"count from when the order was due.",
		head: []string{" share", "orders/s", "answered p50 ms", "p99 ms", "notified p50 ms", "spread", "p99 ms", "spread"},
	}
	f := b.figures
	for _, share := range shares {
		n := name("latency", share.text)
		t.row(slices.Concat([]string{share.text, whole(f.median(n, "rate"))}, f.cells(short, n, "answered/p50", "answered/p99"),
			f.withSpread(short, n, "notified", "p50"), f.withSpread(short, n, "notified", "p99"))...)
	}
	return t
}
