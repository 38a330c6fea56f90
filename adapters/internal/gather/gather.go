// Package gather makes one write of what many callers bring one by one.
//
// While one write is under way, the calls that arrive wait together and go as
// the next one. There is no timer: a lone caller waits for nobody, and the
// batches grow with the load.
package gather

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
)

// What one batch holds at most, which is well under what servers take. An item
// that is larger goes by itself, so that its refusal is nobody else's.
const (
	MaxItems = 256
	MaxBytes = 4 << 20
)

// ErrClosed is the answer to calls that come after Close.
var ErrClosed = errors.New("closed")

// Item is what one caller has to write.
type Item interface {
	// Key names what is written. A batch is in the order of its keys: some
	// servers lock one document after the other, and batches of two processes
	// that shared documents in different orders would each wait for the other.
	Key() string

	// Size is about how many bytes the item has on its way.
	Size() int
}

// Gatherer writes items in batches. Make one with [New].
type Gatherer[T Item] struct {
	write func(ctx context.Context, items []T) []error

	life context.Context // ends when what is under way is to be given up
	end  context.CancelFunc
	wg   sync.WaitGroup // of the writer at work

	mu      sync.Mutex
	waiting []*call[T] // in the order of their arrival
	working bool       // a writer is at work, or about to be
	closed  bool
}

// call is one caller's item on its way.
type call[T Item] struct {
	ctx    context.Context
	item   T
	key    string
	size   int
	batch  *batch[T] // nil: it waits
	answer chan error
}

type batch[T Item] struct {
	ctx     context.Context // ends when nobody waits for the batch any more
	cancel  context.CancelFunc
	calls   []*call[T]
	callers int // how many still wait
}

// New returns a gatherer that writes with the function write. That returns an
// error or nil for each item, at the item's index, and soon after its context
// has ended.
func New[T Item](write func(ctx context.Context, items []T) []error) *Gatherer[T] {
	g := &Gatherer[T]{write: write}
	g.life, g.end = context.WithCancel(context.Background())
	return g
}

// Do writes the item and returns its own error. Once ctx ends it waits no
// longer, and returns the context's error: an item that was not on its way yet
// stays unwritten, any other may be written or not.
func (g *Gatherer[T]) Do(ctx context.Context, item T) error {
	c := &call[T]{ctx: ctx, item: item, key: item.Key(), size: item.Size(), answer: make(chan error, 1)}
	if err := g.enter(c); err != nil {
		return err
	}
	select {
	case err := <-c.answer:
		return err
	case <-ctx.Done():
		g.leave(c)
		return ctx.Err()
	}
}

func (g *Gatherer[T]) enter(c *call[T]) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	g.waiting = append(g.waiting, c)
	if !g.working {
		g.working = true
		g.wg.Go(g.work)
	}
	return nil
}

// leave takes note that a caller, whose context has ended, waits no longer.
func (g *Gatherer[T]) leave(c *call[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.batch == nil {
		g.waiting = slices.DeleteFunc(g.waiting, func(other *call[T]) bool { return other == c })
		return
	}
	if c.batch.callers--; c.batch.callers == 0 {
		c.batch.cancel()
	}
}

// work writes one batch after the other until nobody waits.
func (g *Gatherer[T]) work() {
	for {
		runtime.Gosched() // who is about to call comes along: see BenchmarkGather
		b := g.next()
		if b == nil {
			return
		}
		errs := g.try(b)
		b.cancel()
		for i, c := range b.calls {
			c.answer <- errs[i]
		}
	}
}

// next returns the next batch. If there is none, the writer's work is done.
func (g *Gatherer[T]) next() *batch[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := &batch[T]{}
	bytes, taken := 0, 0
	for _, c := range g.waiting {
		if c.ctx.Err() == nil {
			bytes += c.size
			if len(b.calls) == MaxItems || len(b.calls) > 0 && bytes > MaxBytes {
				break
			}
			c.batch = b
			b.calls = append(b.calls, c)
		}
		taken++
	}
	g.waiting = slices.Delete(g.waiting, 0, taken)
	if len(b.calls) == 0 {
		g.working = false
		return nil
	}
	slices.SortStableFunc(b.calls, func(x, y *call[T]) int { return strings.Compare(x.key, y.key) })
	b.callers = len(b.calls)
	b.ctx, b.cancel = context.WithCancel(g.life)
	return b
}

// try writes the batch. A panic becomes everybody's error, with the place it
// happened at: they would wait for ever otherwise.
func (g *Gatherer[T]) try(b *batch[T]) (errs []error) {
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("writing a batch panicked: %v\n%s", p, debug.Stack())
			errs = slices.Repeat([]error{err}, len(b.calls))
		}
	}()
	items := make([]T, len(b.calls))
	for i, c := range b.calls {
		items[i] = c.item
	}
	errs = g.write(b.ctx, items)
	if len(errs) != len(items) {
		panic(fmt.Sprintf("%d errors for %d items", len(errs), len(items)))
	}
	return errs
}

// Close waits until everybody who waits has an answer. When ctx ends it gives
// up what is under way.
func (g *Gatherer[T]) Close(ctx context.Context) {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	defer g.end()
	defer context.AfterFunc(ctx, g.end)()
	g.wg.Wait()
}
