package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	costClients = 256
	fewest      = 10_000 // stored orders, beside which more are judged
)

// cost measures what stored orders cost, and what the processes take.
func (b *bench) cost() experiment {
	databases := make(map[int]*filled)
	stocks := slices.Clone(b.stocks)
	return experiment{
		what:    "cost",
		numbers: []int{5},
		round: func(ctx context.Context) error {
			for _, stock := range stocks {
				if err := b.refill(ctx, databases, stock); err != nil {
					return err
				}
			}
			defer slices.Reverse(stocks) // each is as often the first as the last
			for _, stock := range stocks {
				f := databases[stock]
				err := b.play(ctx, ours, 1, f.database, f.stored, func(s *stage) error {
					defer func() { f.stored += len(s.placed) }()
					return s.measureCost(ctx, f, stock)
				})
				if err != nil {
					return fmt.Errorf("%d orders: %w", stock, err)
				}
			}
			return nil
		},
		tables: func() []*table { return []*table{b.stockTable(), b.processTable()} },
	}
}

// refill has the stock's database filled anew once it has grown by more than a
// tenth of the stock, and the first time.
func (b *bench) refill(ctx context.Context, databases map[int]*filled, stock int) error {
	if f := databases[stock]; f != nil {
		if f.stored-stock <= stock/10 {
			return nil
		}
		if err := b.servers.drop(ctx, f.database); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.progress, "bench: cost: store %d orders\n", stock)
	f := &filled{database: b.servers.newDatabase(), stored: stock}
	var err error
	f.orders, err = b.fill(ctx, f.database, stock, true)
	databases[stock] = f
	return err
}

// filled is a database with orders in it, which grows by each round.
type filled struct {
	database
	orders []answered // by which it was filled
	stored int
}

func (s *stage) measureCost(ctx context.Context, f *filled, stock int) error {
	s.figures.addTime(name("ready", orderService), s.ready.order)
	s.figures.addTime(name("ready", notifier), s.ready.notifier)
	if err := s.measureMemory("idle"); err != nil {
		return err
	}
	reads := []struct {
		what    string
		request func(int) []byte
	}{
		{"get", func(int) []byte {
			order := f.orders[rand.IntN(len(f.orders))].order
			return get("/orders/" + string(order[:]))
		}},
		{"list", func(int) []byte { return get("/orders?limit=20") }},
		{"list of a user", func(int) []byte { return get("/orders?limit=20&user_id=" + userName(rand.IntN(users))) }},
	}
	for _, read := range reads {
		all, _, err := load{
			addresses: s.addresses(), clients: 1, duration: s.duration / 5,
			request: read.request, status: http.StatusOK,
		}.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", read.what, err)
		}
		took := latencies(all)
		s.figures.addTime(name("stock", stock, read.what, "p50"), percentile(took, 50))
		s.figures.addTime(name("stock", stock, read.what, "p99"), percentile(took, 99))
	}
	if err := s.measureAllocations(ctx); err != nil {
		return err
	}
	if err := s.measure(ctx, costClients, name("stock", stock)); err != nil {
		return err
	}
	return s.measureMemory("load")
}

// measureMemory adds what the processes have now or, under load, had at their
// peak.
func (s *stage) measureMemory(when string) error {
	for _, p := range s.processes() {
		now, peak, err := p.resident()
		if err != nil {
			return err
		}
		if when == "load" {
			now = peak
		}
		s.figures.add(name("memory", p.name, when), now)
	}
	return nil
}

// measureAllocations adds what each process allocates for an order, from the
// request to the last record of it.
func (s *stage) measureAllocations(ctx context.Context) error {
	type count struct{ objects, size float64 }
	read := func() (counts []count, err error) {
		for _, p := range s.processes() {
			var c count
			if c.objects, c.size, err = p.allocated(ctx); err != nil {
				return nil, err
			}
			counts = append(counts, c)
		}
		return counts, nil
	}
	before, err := read()
	if err != nil {
		return err
	}
	all, _, err := s.load(ctx, costClients, 0, s.duration/5)
	if err != nil {
		return err
	}
	if _, err := s.await(ctx, all); err != nil {
		return err
	}
	after, err := read()
	if err != nil {
		return err
	}
	for i, p := range s.processes() {
		s.figures.add(name("allocations", p.name), (after[i].objects-before[i].objects)/float64(len(all)))
		s.figures.add(name("allocated", p.name), (after[i].size-before[i].size)/1000/float64(len(all)))
	}
	return nil
}

func (b *bench) stockTable() *table {
	t := &table{
		title: "5. Cost against size",
		note:  fmt.Sprintf("Orders by %d clients; reading by one client, which waits for nobody: any order, the newest 20 of all,\nand those of a user.", costClients),
		head:  []string{"stored", "orders/s", "spread", "get p50 ms", "p99 ms", "list p50 ms", "p99 ms", "a user's p50 ms", "p99 ms"},
	}
	f := b.figures
	for _, stock := range b.stocks {
		n := name("stock", stock)
		cells := []string{whole(float64(stock)), whole(f.median(name(n, "orders"))), spread(f[name(n, "orders")], whole)}
		for _, read := range []string{"get", "list", "list of a user"} {
			cells = append(cells, short(f.median(name(n, read, "p50"))), short(f.median(name(n, read, "p99"))))
		}
		t.row(cells...)
	}
	rate := func(stock int) string { return name("stock", stock, "orders") }
	t.least("1,000,000 stored orders: at least 90 % of the rate with 10,000", f.ratio(rate(1_000_000), rate(fewest)), 0.9, percent)
	return t
}

func (b *bench) processTable() *table {
	t := &table{
		title: "What a process takes",
		note: "Resident memory right after the start and at its peak under full load; the time from the start until it is\n" +
			"ready; what it allocates for an order.",
		head: []string{" process", "idle MB", "at load MB", "ready ms", "spread", "allocations", "allocated kB", "executable MB"},
	}
	f := b.figures
	idle, loaded, ready := math.Inf(-1), math.Inf(-1), math.Inf(-1)
	for _, process := range []string{orderService, notifier} {
		row := struct{ idle, load, ready float64 }{
			f.median(name("memory", process, "idle")), f.median(name("memory", process, "load")), f.median(name("ready", process)),
		}
		idle, loaded, ready = max(idle, row.idle), max(loaded, row.load), max(ready, row.ready)
		size := math.NaN()
		if info, err := os.Stat(filepath.Join(b.folder, process)); err == nil {
			size = float64(info.Size()) / 1e6
		}
		t.row(process, short(row.idle), short(row.load), short(row.ready), spread(f[name("ready", process)], short),
			whole(f.median(name("allocations", process))), short(f.median(name("allocated", process))), short(size))
	}
	t.most("each under 100 MB at full load", loaded, 100, mb)
	t.most("each under 30 MB idle", idle, 30, mb)
	t.most("ready in under 1 s", ready, float64(time.Second/time.Millisecond), ms)
	return t
}
