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
		prepare: func(ctx context.Context) error {
			if b.best("notified") != "" {
				return nil
			}
			return b.playAnew(ctx, ours, func(s *stage) error { return s.measure(ctx, 64, rateName(ours, 64)) })
		},
		round: func(ctx context.Context) error {
			highest := b.figures.median(b.best("notified"))
			return b.playAnew(ctx, ours, func(s *stage) error {
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

// measureLatency has orders come at the rate.
func (s *stage) measureLatency(ctx context.Context, rate float64, under string) error {
	const clients = 256 // enough that one is free when an order is due
	if _, _, err := s.load(ctx, clients, rate, s.duration/5); err != nil {
		return err
	}
	all, _, err := s.load(ctx, clients, rate, s.duration)
	if err != nil {
		return err
	}
	if _, err := s.await(ctx, all); err != nil {
		return err
	}
	notified := make([]time.Duration, len(all))
	for i, a := range all {
		notified[i] = s.notices.at[a.order].Sub(a.since)
	}
	slices.Sort(notified)
	answer := latencies(all)
	s.figures.add(name(under, "rate"), rate)
	s.figures.addTime(name(under, "answered", "p50"), percentile(answer, 50))
	s.figures.addTime(name(under, "answered", "p99"), percentile(answer, 99))
	s.figures.addTime(name(under, "notified", "p50"), percentile(notified, 50))
	s.figures.addTime(name(under, "notified", "p99"), percentile(notified, 99))
	return nil
}

func (b *bench) latencyTable() *table {
	t := &table{
		title: "3. Order to notification",
		note: "Open loop: orders are due at even intervals, at a share of the highest rate at which ours notifies; times\n" +
			"count from when the order was due to be sent.",
		head: []string{" share", "orders/s", "answered p50 ms", "p99 ms", "notified p50 ms", "spread", "p99 ms", "spread"},
	}
	f := b.figures
	for _, share := range shares {
		n := name("latency", share.text)
		t.row(share.text, whole(f.median(name(n, "rate"))),
			short(f.median(name(n, "answered", "p50"))), short(f.median(name(n, "answered", "p99"))),
			short(f.median(name(n, "notified", "p50"))), spread(f[name(n, "notified", "p50")], short),
			short(f.median(name(n, "notified", "p99"))), spread(f[name(n, "notified", "p99")], short))
	}
	return t
}
