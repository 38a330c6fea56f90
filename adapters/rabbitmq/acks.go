package rabbitmq

import (
	"runtime"
	"slices"
	"sync"
)

// acks acknowledges the deliveries of one session, adjacent ones together. While
// one caller sends acknowledgements, the others add theirs to the next batch: no
// timer, and the batches grow with the load.
type acks struct {
	send func([]acknowledgement)

	mu      sync.Mutex
	last    uint64              // the latest delivery taken
	pending map[uint64]struct{} // taken and not acknowledged
	done    []uint64            // to be acknowledged by the next batch
	sending bool
}

// acknowledgement settles one delivery, or all unsettled ones up to it.
type acknowledgement struct {
	tag      uint64
	multiple bool
}

func newAcks(send func([]acknowledgement)) *acks {
	return &acks{send: send, pending: make(map[uint64]struct{})}
}

// take registers a delivery. Deliveries are taken in the order of their tags.
func (a *acks) take(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = tag
	a.pending[tag] = struct{}{}
}

// add acknowledges the delivery, in this call or in one that is running.
func (a *acks) add(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = append(a.done, tag)
	if a.sending {
		return
	}
	a.sending = true
	for len(a.done) > 0 {
		a.mu.Unlock()
		runtime.Gosched() // so that more calls can join the batch: see BenchmarkAcks
		a.mu.Lock()
		tags := a.done
		a.done = nil
		for _, tag := range tags {
			delete(a.pending, tag)
		}
		lowest := a.last + 1
		for tag := range a.pending {
			lowest = min(lowest, tag)
		}
		a.mu.Unlock()
		a.send(ackPlan(tags, lowest))
		a.mu.Lock()
	}
	a.sending = false
}

// ackPlan settles the tags below the lowest pending one with one acknowledgement,
// and the others one by one, so that they don't count as pending as long as that
// delivery does.
func ackPlan(tags []uint64, lowest uint64) []acknowledgement {
	slices.Sort(tags)
	split, _ := slices.BinarySearch(tags, lowest)
	var plan []acknowledgement
	if split > 0 {
		// The last of these tags, because the broker refuses a tag that it has settled.
		plan = append(plan, acknowledgement{tags[split-1], split > 1})
	}
	for _, tag := range tags[split:] {
		plan = append(plan, acknowledgement{tag, false})
	}
	return plan
}
