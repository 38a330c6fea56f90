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

	"example.com/orderflow/services/cmd/proof/harness"
)

const (
	costClients = 256
	fewest      = 10_000 // stored orders, with which more are compared
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
			defer slices.Reverse(stocks) // each is first as often as last
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

// filled is a database with orders, which grows in each round.
type filled struct {
	database harness.Database
	orders   []answered // that filled it
	stored   int
}

// refill fills the stock's database the first time, and again once it has grown by
// more than a tenth.
func (b *bench) refill(ctx context.Context, databases map[int]*filled, stock int) (err error) {
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
	databases[stock] = f
	f.orders, err = b.fill(ctx, f.database, stock, true)
	return err
}

var reads = []struct {
	what    string
	request func(*filled) []byte
}{
	{"get", func(f *filled) []byte {
		order := f.orders[rand.IntN(len(f.orders))].order
		return get("/orders/" + string(order[:]))
	}},
	{"list", func(*filled) []byte { return get("/orders?limit=20") }},
	{"list of a user", func(*filled) []byte { return get("/orders?limit=20&user_id=" + userName(rand.IntN(users))) }},
}

func (s *stage) measureCost(ctx context.Context, f *filled, stock int) error {
	for _, p := range s.services() {
		s.figures.addTime(name("ready", p.Name), p.ready)
		idle, _, err := p.Memory()
		if err != nil {
			return err
		}
		s.figures.add(name("memory", p.Name, "idle"), idle/1e6)
	}
	for _, read := range reads {
		all, _, err := load{
			addresses: s.addresses(), clients: 1, duration: s.duration / 5,
			request: func(int) []byte { return read.request(f) }, status: http.StatusOK,
		}.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", read.what, err)
		}
		s.figures.addPercentiles(name("stock", stock, read.what), latencies(all))
	}
	if err := s.measureAllocations(ctx); err != nil {
		return err
	}
	if err := s.measure(ctx, costClients, name("stock", stock)); err != nil {
		return err
	}
	for _, p := range s.services() {
		_, peak, err := p.Memory()
		if err != nil {
			return err
		}
		s.figures.add(name("memory", p.Name, "load"), peak/1e6)
	}
	return nil
}

// measureAllocations adds what each process allocates for an order, from the request
// to the last record of it.
func (s *stage) measureAllocations(ctx context.Context) error {
	type count struct{ objects, size float64 }
	before := make(map[*service]count)
	for _, p := range s.services() {
		objects, size, err := p.allocated(ctx)
		if err != nil {
			return err
		}
		before[p] = count{objects, size}
	}
	all, err := s.loadNotified(ctx, costClients, 0, s.duration/5)
	if err != nil {
		return err
	}
	for _, p := range s.services() {
		objects, size, err := p.allocated(ctx)
		if err != nil {
			return err
		}
		s.figures.add(name("allocations", p.Name), (objects-before[p].objects)/float64(len(all)))
		s.figures.add(name("allocated", p.Name), (size-before[p].size)/1000/float64(len(all)))
	}
	return nil
}

func (b *bench) stockTable() *table {
	t := &table{
		title: "5. Cost against size",
		note:  fmt.Sprintf("Orders by %d clients. One client reads, without others: any order, the newest 20 of all, and those of a\nuser.", costClients),
		head:  []string{"stored", "orders/s", "spread", "get p50 ms", "p99 ms", "list p50 ms", "p99 ms", "a user's p50 ms", "p99 ms"},
	}
	f := b.figures
	for _, stock := range b.stocks {
		n := name("stock", stock)
		cells := append([]string{whole(float64(stock))}, f.withSpread(whole, n, "orders")...)
		for _, read := range reads {
			cells = append(cells, f.cells(short, name(n, read.what), "p50", "p99")...)
		}
		t.row(cells...)
	}
	rate := func(stock int) string { return name("stock", stock, "orders") }
	t.least("1,000,000 stored orders: at least 90 % of the rate with 10,000", f.ratio(rate(1_000_000), rate(fewest)), 0.9, percent)
	return t
}

func (b *bench) processTable() *table {
	t := &table{
		title: "Process footprint",
		note: "Resident memory right after the start and at its peak under full load; the time from the start until the\n" +
			"process is ready; what it allocates for an order.",
		head: []string{" process", "idle MB", "at load MB", "ready ms", "spread", "allocations", "allocated kB", "executable MB"},
	}
	f := b.figures
	idle, loaded, ready := math.Inf(-1), math.Inf(-1), math.Inf(-1)
	for _, process := range []string{orderService, notifier} {
		memory := name("memory", process)
		idle, loaded = max(idle, f.median(memory, "idle")), max(loaded, f.median(memory, "load"))
		ready = max(ready, f.median("ready", process))
		size := math.NaN()
		if info, err := os.Stat(filepath.Join(b.folder, process)); err == nil {
			size = float64(info.Size()) / 1e6
		}
		t.row(slices.Concat([]string{process}, f.cells(short, memory, "idle", "load"), f.withSpread(short, "ready", process),
			[]string{whole(f.median("allocations", process)), short(f.median("allocated", process)), short(size)})...)
	}
	t.most("each under 100 MB at full load", loaded, 100, mb)
	t.most("each under 30 MB idle", idle, 30, mb)
	t.most("ready in under 1 s", ready, float64(time.Second/time.Millisecond), ms)
	return t
}
