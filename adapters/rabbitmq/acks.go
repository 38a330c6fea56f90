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
	ack func([]acknowledgement)

	mu      sync.Mutex
	last    uint64              // the latest that was taken
	inHand  map[uint64]struct{} // taken, and not done
	done    []uint64            // not told yet
	telling bool
}

// acknowledgement is of one delivery, or of all up to it that have none yet.
type acknowledgement struct {
	tag      uint64
	multiple bool
}

func newAcks(ack func([]acknowledgement)) *acks {
	return &acks{ack: ack, inHand: make(map[uint64]struct{})}
}

// take takes note of a delivery. They are taken in the order of their tags.
func (a *acks) take(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = tag
	a.inHand[tag] = struct{}{}
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
		for _, tag := range tags {
			delete(a.inHand, tag)
		}
		lowest := a.last + 1 // in hand
		for tag := range a.inHand {
			lowest = min(lowest, tag)
		}
		a.mu.Unlock()
		a.ack(words(tags, lowest))
		a.mu.Lock()
	}
	a.telling = false
}

// words acknowledges those below the lowest that is in hand by one word. The
// others are told one by one: what is in hand may take long, and what is done
// is not to count as in hand for so long.
func words(tags []uint64, lowest uint64) []acknowledgement {
	slices.Sort(tags)
	split, _ := slices.BinarySearch(tags, lowest)
	var list []acknowledgement
	if split > 0 {
		// The last of them, for the broker knows no more of what it was told of.
		list = append(list, acknowledgement{tags[split-1], split > 1})
	}
	for _, tag := range tags[split:] {
		list = append(list, acknowledgement{tag, false})
	}
	return list
}
