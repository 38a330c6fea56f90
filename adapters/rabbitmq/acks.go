package rabbitmq

import (
	"runtime"
	"slices"
	"sync"
)

// acks acknowledges the deliveries of one session, many at once where they are
// next to each other. Whoever is done while another tells the broker leaves it
// to that one: there is no timer, and the batches grow with the load.
type acks struct {
	// ack acknowledges a delivery, or all up to it that are not yet. An error
	// says only that the session is over.
	ack func(tag uint64, multiple bool) error

	mu      sync.Mutex
	done    []uint64 // not told yet
	telling bool

	// The teller's own.
	next  uint64              // the lowest that is not told
	ahead map[uint64]struct{} // told, but not all below them
}

func newAcks(ack func(tag uint64, multiple bool) error) *acks {
	return &acks{ack: ack, next: 1, ahead: make(map[uint64]struct{})} // a channel counts from 1
}

// add has the delivery acknowledged, by this call or by another that is under
// way.
func (a *acks) add(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = append(a.done, tag)
	if a.telling {
		return
	}
	a.telling = true
	for len(a.done) > 0 {
		a.mu.Unlock()
		runtime.Gosched() // what is done at this moment comes along: see BenchmarkAcks
		a.mu.Lock()
		tags := a.done
		a.done = nil
		a.mu.Unlock()
		a.tell(tags)
		a.mu.Lock()
	}
	a.telling = false
}

// tell acknowledges those that are next, up to the first that is still in hand,
// by one word. The others are told one by one: what is in hand may take long,
// and what is done is not to count as in hand for so long.
func (a *acks) tell(tags []uint64) {
	for _, tag := range tags {
		a.ahead[tag] = struct{}{}
	}
	for a.isAhead(a.next) {
		delete(a.ahead, a.next)
		a.next++
	}
	slices.Sort(tags)
	split, _ := slices.BinarySearch(tags, a.next)
	if split > 0 {
		// The last of them, for the broker knows no more of what it was told of.
		a.ack(tags[split-1], split > 1)
	}
	for _, tag := range tags[split:] {
		a.ack(tag, false)
	}
}

func (a *acks) isAhead(tag uint64) bool {
	_, ok := a.ahead[tag]
	return ok
}
