package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sync/errgroup"
)

// newOrderRate is the rate of new orders, a second, during a sweep.
const newOrderRate = 100

// measureSweeps measures the time to publish and notify a backlog, as an outage of the
// broker leaves it.
func (b *bench) measureSweeps(ctx context.Context) {
	for _, backlog := range b.sizes {
		b.report("sweep: %d events", backlog)
		b.measureSweep(ctx, backlog)
	}
}

func (b *bench) measureSweep(ctx context.Context, backlog int) {
	s := b.newStage(ours)
	defer s.close(ctx)
	s.fill(ctx, backlog, false)
	s.start(ctx, 1)
	coming, stop := context.WithCancel(ctx)
	defer stop()
	var placing errgroup.Group
	placing.Go(func() error {
		defer stop() // the sweep is not measured without new orders
		_, _, err := s.place(coming, 16, newOrderRate, time.Hour)
		return err
	})
	last, err := s.notices.await(coming, s.waited, silence)
	stop()
	check(errors.Join(placing.Wait(), err))
	s.figures.add(name("sweep", backlog), last.Sub(s.orders[0].Began).Seconds())
	s.finish(ctx)
}

func (b *bench) sweepTables() []*table {
	t := &table{
		title: "4. Sweep",
		note: fmt.Sprintf("From the start of both services until every waiting event is notified, while %d orders a second\n"+
			"keep coming. *Doubling* is the factor by which twice the events take longer.", newOrderRate),
		head: []string{"events", "seconds", "spread", "events/s", "doubling"},
	}
	f := b.figures
	doubling := math.Inf(-1) // the largest
	for i, backlog := range b.sizes {
		took := name("sweep", backlog)
		growth := ""
		if i > 0 {
			before := b.sizes[i-1]
			exponent := math.Log(f.ratio(took, name("sweep", before))) / math.Log(float64(backlog)/float64(before))
			factor := math.Pow(2, exponent)
			growth = times(factor)
			doubling = max(factor, doubling)
		}
		t.row(backlog, f.withSpread(short, took), whole(float64(backlog)/f.median(took)), growth)
	}
	took := f.median("sweep", 100_000)
	t.target("100,000 events in under 60 s", seconds(took), took <= 60)
	t.target("twice the events take at most twice as long", times(doubling), doubling <= 2)
	return []*table{t}
}
