package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// newOrders is the rate of new orders, a second, during a sweep.
const newOrders = 100

// sweep measures the time to publish and notify a backlog, as an outage of the broker
// leaves it.
func (b *bench) sweep() experiment {
	return experiment{
		what:    "sweep",
		numbers: []int{4},
		round: func(ctx context.Context) error {
			for _, backlog := range b.backlogs {
				if err := b.measureSweep(ctx, backlog); err != nil {
					return fmt.Errorf("%d events: %w", backlog, err)
				}
			}
			return nil
		},
		tables: func() []*table { return []*table{b.sweepTable()} },
	}
}

func (b *bench) measureSweep(ctx context.Context, backlog int) error {
	d := b.servers.newDatabase()
	waiting, err := b.fill(ctx, d, backlog, false)
	if err != nil {
		return err
	}
	err = b.play(ctx, ours, 1, d, backlog, func(s *stage) error {
		s.waited = waiting
		coming, stop := context.WithCancel(ctx)
		defer stop()
		loaded := make(chan error, 1)
		go func() {
			defer stop() // the sweep is not measured without new orders
			_, _, err := s.load(coming, 16, newOrders, time.Hour)
			loaded <- err
		}()
		last, err := s.await(coming, waiting)
		stop()
		s.figures.add(name("sweep", backlog), last.Sub(s.orders[0].Began).Seconds())
		return errors.Join(<-loaded, err)
	})
	if err != nil {
		return err
	}
	return b.servers.drop(ctx, d)
}

func (b *bench) sweepTable() *table {
	t := &table{
		title: "4. Sweep",
		note: fmt.Sprintf("From the start of both services until every waiting event is notified, while %d orders a second\n"+
			"keep coming. *Doubling* is the factor by which twice the events take longer.", newOrders),
		head: []string{"events", "seconds", "spread", "events/s", "doubling"},
	}
	f := b.figures
	doubling := math.NaN()
	for i, backlog := range b.backlogs {
		took := name("sweep", backlog)
		growth := ""
		if i > 0 {
			before := b.backlogs[i-1]
			exponent := math.Log(f.ratio(took, name("sweep", before))) / math.Log(float64(backlog)/float64(before))
			growth = times(math.Pow(2, exponent))
			doubling = max(math.Pow(2, exponent), orZero(doubling))
		}
		cells := append([]string{whole(float64(backlog))}, f.withSpread(short, took)...)
		t.row(append(cells, whole(float64(backlog)/f.median(took)), growth)...)
	}
	t.most("100,000 events in under 60 s", f.median("sweep", 100_000), 60, seconds)
	t.most("twice the events take at most twice as long", doubling, 2, times)
	return t
}

func orZero(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return x
}
