package httpapi

import (
	"context"
	"sync"
)

const (
	// memoryBudget bounds the bytes that all requests and answers of the process
	// hold together, except small ones. So any number of slow clients takes no more.
	memoryBudget = 32 << 20

	// small is the size in bytes up to which a header, a body or an answer needs no
	// reservation. An answer with one stored order is small.
	small = 4 << 10
)

// memory is the budget of the process. All its servers share it.
var memory = newBudget(memoryBudget)

// budget is a number of bytes. Callers reserve parts of it.
type budget struct {
	mu    sync.Mutex
	free  int
	freed chan struct{} // closed at the next release; nil if nobody waits
}

func newBudget(bytes int) *budget { return &budget{free: bytes} }

// take reserves n bytes and reports whether they were free.
func (b *budget) take(n int) bool {
	ok, _ := b.tryTake(n)
	return ok
}

// wait reserves n bytes as soon as they are free. It reports false if ctx ends
// first.
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
