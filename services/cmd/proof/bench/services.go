package main

import "context"

var instances = []int{1, 2, 4}

// measureServices measures several order services on one store.
func (b *bench) measureServices(ctx context.Context) {
	var turns []func()
	for _, n := range instances {
		turns = append(turns, func() {
			s := b.newStage(ours)
			defer s.close(ctx)
			s.start(ctx, n)
			s.measure(ctx, 256, name("services", n))
			s.finish(ctx)
		})
	}
	inTurns(turns)
}

func (b *bench) serviceTables() []*table {
	t := &table{
		title: "6. Several order services on one store",
		note:  "256 clients in all, who share the services; one notification service.",
		head:  []string{"services", "orders/s", "spread", "of one's", "p50 ms", "p99 ms"},
	}
	f := b.figures
	for _, n := range instances {
		of := name("services", n)
		share := percent(f.ratio(name(of, "orders"), name("services", 1, "orders")))
		t.row(n, f.withSpread(whole, of, "orders"), share, f.cells(short, of, "p50", "p99"))
	}
	return []*table{t}
}
