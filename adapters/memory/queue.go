package memory

import (
	"context"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/ports"
)

// queue is a first-in, first-out queue without a bound. The zero queue is ready
// for use.
type queue[T any] struct {
	mu      sync.Mutex
	waiting []T
	arrived chan struct{} // closed by the next put; nil: nobody waits

	taken, delayed, consumers int
}

func (q *queue[T]) put(items ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.append(items...)
}

func (q *queue[T]) append(items ...T) {
	q.waiting = append(q.waiting, items...)
	if q.arrived != nil {
		close(q.arrived)
		q.arrived = nil
	}
}

// finish ends the use of an item that was taken.
func (q *queue[T]) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken--
}

// giveBack puts an item that was taken back into the queue.
func (q *queue[T]) giveBack(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken--
	q.append(item)
}

// delay counts an item that was taken as delayed, until the returned function puts it
// back.
func (q *queue[T]) delay(item T) (putBack func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken--
	q.delayed++
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.delayed--
		q.append(item)
	}
}

// consume counts a consumer until the returned function is called.
func (q *queue[T]) consume() (end func()) {
	change := func(by int) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.consumers += by
	}
	change(1)
	return func() { change(-1) }
}

// depth returns what the queue has. since returns the time of an item.
func (q *queue[T]) depth(since func(T) time.Time) ports.QueueDepth {
	q.mu.Lock()
	defer q.mu.Unlock()
	depth := ports.QueueDepth{Ready: len(q.waiting), Delayed: q.delayed, Taken: q.taken, Consumers: q.consumers}
	if depth.Ready > 0 {
		depth.Oldest = since(q.waiting[0])
	}
	return depth
}

// take removes and returns the first item. It waits until an item arrives, or until
// ctx ends; then ok is false. Each item that was taken ends by finish, giveBack or delay.
func (q *queue[T]) take(ctx context.Context) (first T, ok bool) {
	for ctx.Err() == nil {
		q.mu.Lock()
		if len(q.waiting) > 0 {
			var none T
			first, q.waiting[0] = q.waiting[0], none // for the garbage collector
			q.waiting = q.waiting[1:]
			q.taken++
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
