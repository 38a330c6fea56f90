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

// How long a handler may take where nothing else is set: at most, and once its
// consumer is to stop.
const (
	DefaultTimeout     = 30 * time.Second
	DefaultStopTimeout = 5 * time.Second
)

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

// Go runs f once every earlier function of the same order has returned; at
// once if it is of none, "".
func (g *Group) Go(order domain.OrderID, f func()) {
	if order == "" {
		g.wg.Go(f)
		return
	}
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

// Limits say how long a call may take; fields of zero or less stand for the
// defaults.
type Limits struct {
	Timeout     time.Duration
	StopTimeout time.Duration // once the consumer is to stop
}

// Call calls f with a context that ends after Timeout, or StopTimeout after ctx
// has. A panic becomes a permanent error with the place it happened at.
func (l Limits) Call(ctx context.Context, f func(context.Context) error) (err error) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), orDefault(l.Timeout, DefaultTimeout))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(orDefault(l.StopTimeout, DefaultStopTimeout)):
			cancel()
		case <-own.Done():
		}
	})()
	defer func() {
		if p := recover(); p != nil {
			err = ports.Permanent(fmt.Errorf("panicked: %v\n%s", p, debug.Stack()))
		}
	}()
	return f(own)
}

func orDefault(timeout, usual time.Duration) time.Duration {
	if timeout <= 0 {
		return usual
	}
	return timeout
}
