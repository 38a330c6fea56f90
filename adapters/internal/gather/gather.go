// Package gather writes the items of concurrent callers in batches.
//
// While one write runs, new calls wait; the next write takes their items
// together. No timer delays a write, so a lone caller does not wait, and the
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
	"time"
)

// The bounds of a batch, well below the limits of servers. A larger item is
// written alone, so that its refusal affects no other caller.
const (
	MaxItems = 256
	MaxBytes = 4 << 20
)

// ErrClosed is returned when Do is called after Close.
var ErrClosed = errors.New("closed")

// Item is written by one call of Do.
type Item interface {
	// Key identifies the written document. Batches are sorted by key, because some
	// servers lock the documents one after the other. Two processes that wrote the
	// same documents in different orders could deadlock.
	Key() string

	// Size returns roughly how many bytes the item takes in a request.
	Size() int
}

// Gatherer writes items in batches. Make one with [New].
type Gatherer[T Item] struct {
	// Timeout bounds each call of Do, as a deadline of its context would at a higher
	// cost. 0: no bound. It must not change after the first call.
	Timeout time.Duration

	write func(ctx context.Context, items []T) []error

	lifetime context.Context // its end cancels the running write
	end      context.CancelFunc
	wg       sync.WaitGroup // of the goroutine that writes

	mu      sync.Mutex
	waiting []*call[T] // in the order of their arrival
	working bool       // the goroutine that writes is running
	closed  bool
}

// call is one call of Do.
type call[T Item] struct {
	ctx    context.Context
	item   T
	key    string
	size   int
	batch  *batch[T] // nil: the item still waits
	answer chan error
}

type batch[T Item] struct {
	ctx     context.Context // ends when no caller waits for the batch
	cancel  context.CancelFunc
	calls   []*call[T]
	callers int // callers that still wait
}

// New returns a gatherer that calls write for each batch. write returns an error
// or nil for each item, at the item's index. It returns soon after its context has
// ended.
func New[T Item](write func(ctx context.Context, items []T) []error) *Gatherer[T] {
	g := &Gatherer[T]{write: write}
	g.lifetime, g.end = context.WithCancel(context.Background())
	return g
}

// Do writes the item and returns the item's error. When ctx ends, Do returns the
// context's error. Then an item that still waited is not written; an item of a
// running write may be written or not. [context.DeadlineExceeded] is returned when the
// timeout ends first.
func (g *Gatherer[T]) Do(ctx context.Context, item T) error {
	c := &call[T]{ctx: ctx, item: item, key: item.Key(), size: item.Size(), answer: make(chan error, 1)}
	if err := g.enter(c); err != nil {
		return err
	}
	var timeout <-chan time.Time
	if g.Timeout > 0 {
		timer := time.NewTimer(g.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case err := <-c.answer:
		return err
	case <-ctx.Done():
		g.leave(c)
		return ctx.Err()
	case <-timeout:
		g.leave(c)
		return context.DeadlineExceeded
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

// leave removes a caller whose context has ended.
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

// work writes one batch after the other until no call waits.
func (g *Gatherer[T]) work() {
	for {
		runtime.Gosched() // so that more calls can join the batch: see BenchmarkGather
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

// next returns the next batch, or nil if no call waits.
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
	b.ctx, b.cancel = context.WithCancel(g.lifetime)
	return b
}

// try writes the batch. It returns a panic as the error of each caller, with the
// stack, because the callers would otherwise wait for ever.
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

// Close waits until each caller has an answer. When ctx ends, Close cancels the
// running write.
func (g *Gatherer[T]) Close(ctx context.Context) {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	defer g.end()
	defer context.AfterFunc(ctx, g.end)()
	g.wg.Wait()
}
