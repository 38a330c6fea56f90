package memory

import (
	"context"
	"slices"
	"sync"
)

// queue hands out what was put into it, in that order. The zero queue is
// ready for use.
type queue[T any] struct {
	mu      sync.Mutex
	waiting []T
	arrived chan struct{} // closed at the next arrival; nil: nobody waits for one
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

// take returns the first of the queue, or false once ctx has ended.
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

// list returns what is in the queue, and leaves it there.
func (q *queue[T]) list() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.waiting)
}
