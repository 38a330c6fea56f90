// Package dispatch calls event handlers as [ports.EventConsumer] requires: several
// at once, never two of one order, with a timeout, and with panics recovered.
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

// The defaults of [Limits].
const (
	DefaultTimeout     = 30 * time.Second
	DefaultStopTimeout = 5 * time.Second
)

// DefaultPrefetch is how many events a consumer takes at once by default.
const DefaultPrefetch = 512

// Prefetch returns the first of the numbers that is above 0, or [DefaultPrefetch].
func Prefetch(numbers ...int) int {
	for _, n := range numbers {
		if n > 0 {
			return n
		}
	}
	return DefaultPrefetch
}

// DefaultDelays returns the default delays between two attempts. One more attempt
// follows the last delay.
func DefaultDelays() []time.Duration {
	return []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute}
}

// Group runs functions in goroutines. It runs those of one order one after the
// other, in the order of their calls of Go. It does not bound how many run at once.
// The zero Group is ready for use.
type Group struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	last map[domain.OrderID]chan struct{} // closed when the order's last function has returned
}

// Go runs f after all earlier functions of the order; immediately if order is "".
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

// Wait waits until every function has returned.
func (g *Group) Wait() { g.wg.Wait() }

// Limits bound a call. Fields of zero or less mean the defaults.
type Limits struct {
	Timeout     time.Duration
	StopTimeout time.Duration // after the consumer was stopped
}

// Call calls f with a context that ends after Timeout, or StopTimeout after ctx. It
// returns a panic as a permanent error with the stack.
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

func orDefault(timeout, byDefault time.Duration) time.Duration {
	if timeout <= 0 {
		return byDefault
	}
	return timeout
}
