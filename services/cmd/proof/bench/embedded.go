package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/services/cmd/proof/harness"
)

// The numbers of orders that the embedded way has stored when it is measured, unless
// the run is quick.
const (
	fewStored  = 10_000
	manyStored = 1_000_000
)

// filledFile is a file with orders, which each round copies.
type filledFile struct {
	path   string
	orders []answered
}

// fillFiles makes the files before the first round.
func (b *bench) fillFiles(ctx context.Context) {
	if b.filledFiles != nil {
		return
	}
	sizes := []int{fewStored, manyStored}
	if b.Quick {
		sizes = b.sizes
	}
	for _, stored := range sizes {
		b.report("embedded: store %d orders", stored)
		f := filledFile{path: filepath.Join(b.folder, fmt.Sprintf("filled-%d.db", stored))}
		f.orders = fillFile(ctx, f.path, stored)
		info := must(os.Stat(f.path))
		b.figures.add(name("embedded", stored, "size"), float64(info.Size())/float64(stored))
		b.filledFiles = append(b.filledFiles, f)
	}
}

// measureEmbedded measures what stored orders cost the embedded way.
func (b *bench) measureEmbedded(ctx context.Context) {
	b.fillFiles(ctx)
	var turns []func()
	for _, f := range b.filledFiles {
		turns = append(turns, func() {
			s := b.newStage(embedded)
			defer s.close(ctx)
			s.filled = f.orders
			check(os.Mkdir(s.data, 0o700))
			path := filepath.Join(s.data, fileName)
			check(copyFile(f.path, path))
			under := name("embedded", len(f.orders))
			s.start(ctx, 1)
			b.figures.addTime(name(under, "ready"), s.all[0].ready)
			s.measureCost(ctx, under)
			s.finish(ctx)
			s.measureEmptySweep(ctx, path, name(under, "sweep"))
		})
	}
	inTurns(turns)
}

// measureEmptySweep measures a look for waiting events where none waits.
func (b *bench) measureEmptySweep(ctx context.Context, path, under string) {
	store := must(sqlite.Open(ctx, "sqlite:"+path, sqlite.Options{}))
	defer b.remove(ctx, store.Close)
	took := make([]time.Duration, 200)
	for i := range took {
		began := time.Now()
		events := must(store.Orders().Claim(ctx, 1000))
		took[i] = time.Since(began)
		if len(events) > 0 {
			check(fmt.Errorf("%s: %d events still wait to be published", embedded, len(events)))
		}
	}
	b.figures.addPercentiles(under, took)
}

func (b *bench) embeddedTables() []*table {
	t := &table{
		title: "9. The embedded way against size",
		note: fmt.Sprintf("Both services as one process, with one file. Orders by %d clients; the size of the file, for an order with\n"+
			"its notification; the time from the start until the process is ready. One client reads, without others: the\n"+
			"newest 20 of all orders, and of a user's. *Sweep* looks for waiting events, and finds none.", costClients),
		head: []string{"stored", "orders/s", "spread", "bytes an order", "ready ms", "spread",
			"list p50 ms", "p99 ms", "a user's p50 ms", "p99 ms", "sweep p50 ms", "p99 ms"},
	}
	f := b.figures
	for _, filled := range b.filledFiles {
		n := name("embedded", len(filled.orders))
		t.row(len(filled.orders), f.withSpread(whole, n, "orders"), f.cells(whole, n, "size"), f.withSpread(short, n, "ready"),
			f.cells(short, name(n, "list"), "p50", "p99"), f.cells(short, name(n, "list of a user"), "p50", "p99"),
			f.cells(short, name(n, "sweep"), "p50", "p99"))
	}
	few, many := name("embedded", fewStored), name("embedded", manyStored)
	share := f.ratio(name(many, "orders"), name(few, "orders"))
	t.target("1,000,000 stored orders: at least 90 % of the rate with 10,000", percent(share), share >= 0.9)
	ready := f.median(many, "ready")
	t.target("ready in under 300 ms with 1,000,000 orders", ms(ready), ready < 300)
	footprint := b.footprint(harness.Orderflow)
	loaded := f.median("memory", harness.Orderflow, "load")
	footprint.target("under 100 MB at full load", mb(loaded), loaded < 100)
	return []*table{t, footprint}
}
