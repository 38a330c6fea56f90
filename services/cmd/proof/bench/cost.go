package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
)

const costClients = 256

// measureCosts measures what stored orders cost, and what the processes take. Every
// database is filled before the first is measured.
func (b *bench) measureCosts(ctx context.Context) {
	var turns []func()
	for _, stored := range b.sizes {
		b.report("cost: store %d orders", stored)
		s := b.newStage(ours)
		defer s.close(ctx)
		s.fill(ctx, stored, true)
		turns = append(turns, func() {
			s.start(ctx, 1)
			s.measureCost(ctx, name("stock", len(s.filled)))
			s.finish(ctx)
		})
	}
	inTurns(turns)
}

var reads = []struct {
	what string
	path func(stored []answered) string
}{
	{"get", func(stored []answered) string {
		order := stored[rand.IntN(len(stored))].order
		return "/orders/" + string(order[:])
	}},
	{"list", func([]answered) string { return "/orders?limit=20" }},
	{"list of a user", func([]answered) string { return "/orders?limit=20&user_id=" + userName(rand.IntN(users)) }},
}

// measureCost adds what the stored orders cost under the name, and what the processes
// take under their own.
func (s *stage) measureCost(ctx context.Context, under string) {
	for _, p := range s.all {
		s.figures.addTime(name("ready", p.Name), p.ready)
		idle, _, err := p.Memory()
		check(err)
		s.figures.add(name("memory", p.Name, "idle"), idle/1e6)
	}
	for _, read := range reads {
		l := s.load(1, s.duration/5)
		l.request, l.status = func(int) []byte { return get(read.path(s.filled)) }, http.StatusOK
		all, _, err := l.run(ctx)
		check(err)
		s.figures.addPercentiles(name(under, read.what), latencies(all))
	}
	s.measureAllocations(ctx)
	s.measure(ctx, costClients, under)
	for _, p := range s.all {
		_, peak, err := p.Memory()
		check(err)
		s.figures.add(name("memory", p.Name, "load"), peak/1e6)
	}
}

// measureAllocations adds what each process allocates for an order, from the request
// to the last record of it.
func (s *stage) measureAllocations(ctx context.Context) {
	before := make([]allocations, len(s.all))
	for i, p := range s.all {
		before[i] = must(p.allocations(ctx))
	}
	orders := float64(len(s.placeNotified(ctx, costClients, 0, s.duration/5)))
	for i, p := range s.all {
		after := must(p.allocations(ctx))
		s.figures.add(name("allocations", p.Name), (after.objects-before[i].objects)/orders)
		s.figures.add(name("allocated", p.Name), (after.bytes-before[i].bytes)/1000/orders)
	}
}

func (b *bench) costTables() []*table { return []*table{b.stockTable(), b.processTable()} }

func (b *bench) stockTable() *table {
	t := &table{
		title: "5. Cost against size",
		note:  fmt.Sprintf("Orders by %d clients. One client reads, without others: any order, the newest 20 of all, and those of a\nuser.", costClients),
		head:  []string{"stored", "orders/s", "spread", "get p50 ms", "p99 ms", "list p50 ms", "p99 ms", "a user's p50 ms", "p99 ms"},
	}
	f := b.figures
	for _, stored := range b.sizes {
		n := name("stock", stored)
		row := append([]string{whole(float64(stored))}, f.withSpread(whole, n, "orders")...)
		for _, read := range reads {
			row = append(row, f.cells(short, name(n, read.what), "p50", "p99")...)
		}
		t.row(row)
	}
	share := f.ratio("stock/1000000/orders", "stock/10000/orders")
	t.target("1,000,000 stored orders: at least 90 % of the rate with 10,000", percent(share), share >= 0.9)
	return t
}

func (b *bench) processTable() *table {
	t := b.footprint(orderService, notifier)
	f := b.figures
	idle, loaded, ready := math.Inf(-1), math.Inf(-1), math.Inf(-1)
	for _, process := range []string{orderService, notifier} {
		memory := name("memory", process)
		idle, loaded = max(idle, f.median(memory, "idle")), max(loaded, f.median(memory, "load"))
		ready = max(ready, f.median("ready", process))
	}
	t.target("each under 100 MB at full load", mb(loaded), loaded <= 100)
	t.target("each under 30 MB idle", mb(idle), idle <= 30)
	t.target("ready in under 1 s", ms(ready), ready <= 1000)
	return t
}

// footprint returns the table of what the processes take.
func (b *bench) footprint(processes ...string) *table {
	t := &table{
		title: "Process footprint",
		note: "Resident memory right after the start and at its peak under full load; the time from the start until the\n" +
			"process is ready; what it allocates for an order.",
		head: []string{" process", "idle MB", "at load MB", "ready ms", "spread", "allocations", "allocated kB", "executable MB"},
	}
	f := b.figures
	for _, process := range processes {
		memory := name("memory", process)
		executable := must(os.Stat(filepath.Join(b.folder, process)))
		t.row(process, f.cells(short, memory, "idle", "load"), f.withSpread(short, "ready", process), f.cells(whole, "allocations", process),
			f.cells(short, "allocated", process), short(float64(executable.Size())/1e6))
	}
	return t
}
