package httpapi

import (
	"context"
	"sync"
)

const (
	// memoryBudget is how many bytes all requests and answers under way may
	// hold in the whole process, beside the small ones: clients that are slow
	// to send or to read, however many, take no more.
	memoryBudget = 32 << 20

	// small is how many bytes a request's header, its body and its answer may
	// each have without a reservation. What answers a stored order is small.
	small = 4 << 10
)

// memory is the process's budget, whatever number of servers it has.
var memory = newBudget(memoryBudget)

// budget is a number of bytes to be reserved.
type budget struct {
	mu    sync.Mutex
	free  int
	freed chan struct{} // closed when something is released; nil: nobody waits
}

func newBudget(bytes int) *budget { return &budget{free: bytes} }

// take reserves so many bytes, if they are free.
func (b *budget) take(n int) bool {
	ok, _ := b.tryTake(n)
	return ok
}

// wait reserves so many bytes once they are free. It reports false if ctx ends
// before.
func (b *budget) wait(ctx context.Context, n int) bool {
	for {
		ok, freed := b.tryTake(n)
		if ok {
			return true
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return false
		}
	}
}

func (b *budget) tryTake(n int) (ok bool, freed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n <= b.free {
		b.free -= n
		return true, nil
	}
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	return false, b.freed
}

func (b *budget) release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}
