package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
)

var instances = []int{1, 2, 4}

// services measures several order services on one store.
func (b *bench) services() experiment {
	return experiment{
		what:    "several services",
		numbers: []int{6},
		round: func(ctx context.Context) error {
			for _, i := range rand.Perm(len(instances)) {
				n := instances[i]
				d := b.servers.newDatabase()
				err := b.play(ctx, ours, n, d, 0, func(s *stage) error { return s.measure(ctx, 256, name("services", n)) })
				if err != nil {
					return fmt.Errorf("%d services: %w", n, err)
				}
				if err := b.servers.drop(ctx, d); err != nil {
					return err
				}
			}
			return nil
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
		t.row(strconv.Itoa(n), whole(f.median(name(of, "orders"))), spread(f[name(of, "orders")], whole),
			percent(f.ratio(name(of, "orders"), name("services", instances[0], "orders"))),
			short(f.median(name(of, "p50"))), short(f.median(name(of, "p99"))))
	}
	return t
}
