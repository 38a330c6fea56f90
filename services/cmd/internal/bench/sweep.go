package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// newOrders is how many orders a second keep coming while a backlog is swept.
const newOrders = 100

// sweep measures how long a backlog takes that a broker's absence has left.
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
			defer stop() // without new orders there is nothing to wait for
			_, _, err := s.load(coming, 16, newOrders, time.Hour)
			loaded <- err
		}()
		last, err := s.await(coming, waiting)
		stop()
		if err := errors.Join(<-loaded, err); err != nil {
			return err
		}
		s.figures.add(name("sweep", backlog), last.Sub(s.orders[0].began).Seconds())
		return nil
	})
	if err != nil {
		return err
	}
	return b.servers.drop(ctx, d)
}

func (b *bench) sweepTable() *table {
	t := &table{
		title: "4. Sweep",
		note: fmt.Sprintf("From the start of both services until every event that waited is notified, while %d orders a second\n"+
			"keep coming. *Doubling* is how many times as long twice the events take.", newOrders),
		head: []string{"events", "seconds", "spread", "events/s", "doubling"},
	}
	doubling := math.NaN()
	for i, backlog := range b.backlogs {
		took := name("sweep", backlog)
		growth := ""
		if i > 0 {
			before := b.backlogs[i-1]
			exponent := math.Log(b.figures.ratio(took, name("sweep", before))) / math.Log(float64(backlog)/float64(before))
			growth = times(math.Pow(2, exponent))
			doubling = max(math.Pow(2, exponent), orZero(doubling))
		}
		t.row(whole(float64(backlog)), short(b.figures.median(took)), spread(b.figures[took], short),
			whole(float64(backlog)/b.figures.median(took)), growth)
	}
	t.most("100,000 events in under 60 s", b.figures.median(name("sweep", 100_000)), 60, seconds)
	t.most("twice the events take at most twice as long", doubling, 2, times)
	return t
}

func orZero(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return x
}
