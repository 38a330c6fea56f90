// Package dispatch runs event handlers as the consumer's contract has it:
// several at once, never two of one order, each with a bound, no panic let out.
package dispatch

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// DefaultTimeout is how long a handler may take where nothing else is set.
const DefaultTimeout = 30 * time.Second

// DefaultDelays returns the delays between one attempt and the next where
// nothing else is set; after the last comes one more attempt.
func DefaultDelays() []time.Duration {
	return []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute}
}

// Group runs functions in goroutines of their own, those of one order one
// after the other in the order of the calls. How many run at once is for the
// caller to bound. The zero Group is ready for use.
type Group struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	last map[domain.OrderID]chan struct{} // closed when the order's last function has returned
}

// Go runs f once every earlier function of the same order has returned.
func (g *Group) Go(order domain.OrderID, f func()) {
	done := make(chan struct{})
	g.mu.Lock()
	if g.last == nil {
		g.last = make(map[domain.OrderID]chan struct{})
	}
	before := g.last[order]
	g.last[order] = done
	g.mu.Unlock()

	g.wg.Go(func() {
		if before != nil {
			<-before
		}
		defer func() {
			g.mu.Lock()
			if g.last[order] == done {
				delete(g.last, order)
			}
			g.mu.Unlock()
			close(done)
		}()
		f()
	})
}

// Wait returns when every function has.
func (g *Group) Wait() { g.wg.Wait() }

// Handle hands one delivery to handle, with a context that ends after timeout
// but not with ctx. A panic becomes a permanent error with the place it
// happened at.
func Handle(ctx context.Context, timeout time.Duration, handle ports.Handler, delivery ports.Delivery) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = ports.Permanent(fmt.Errorf("handler panicked: %v\n%s", p, debug.Stack()))
		}
	}()
	return handle(ctx, delivery)
}
