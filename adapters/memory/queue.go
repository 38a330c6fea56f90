package memory

import (
	"context"
	"slices"
	"sync"
)

// queue is a first-in, first-out queue without a bound. The zero queue is ready
// for use.
type queue[T any] struct {
	mu      sync.Mutex
	waiting []T
	arrived chan struct{} // closed by the next put; nil: nobody waits
}

func (q *queue[T]) put(items ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, items...)
	if q.arrived != nil {
		close(q.arrived)
		q.arrived = nil
	}
}

// take removes and returns the first item. It waits until an item arrives, or until
// ctx ends; then ok is false.
func (q *queue[T]) take(ctx context.Context) (first T, ok bool) {
	for ctx.Err() == nil {
		q.mu.Lock()
		if len(q.waiting) > 0 {
			var none T
			first, q.waiting[0] = q.waiting[0], none // for the garbage collector
			q.waiting = q.waiting[1:]
			q.mu.Unlock()
			return first, true
		}
		if q.arrived == nil {
			q.arrived = make(chan struct{})
		}
		arrived := q.arrived
		q.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
		}
	}
	return first, false
}

// list returns a copy of the items.
func (q *queue[T]) list() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.waiting)
}
