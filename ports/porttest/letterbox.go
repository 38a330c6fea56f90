package porttest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// letterbox is a drain of dead letters at work. It notes what it is handed and
// answers as told; the judging is left to the clause's own goroutine.
type letterbox struct {
	*worker
	mu     sync.Mutex
	offers []offer
}

// offer is one call of keep.
type offer struct {
	ports.DeadLetter
	ended bool
	kept  bool
}

// keeper answers for the nth offer of a letter, from 1.
type keeper func(ctx context.Context, letter ports.DeadLetter, nth int) error

func keepAll(context.Context, ports.DeadLetter, int) error { return nil }

// drain starts a drain, which ends with the clause at the latest.
func drain(t testing.TB, queue ports.DeadLetterQueue, answer keeper) *letterbox {
	ctx, cancel := context.WithCancel(t.Context())
	return drainUntil(t, ctx, cancel, queue, answer)
}

// drainUntil starts a drain that ends with ctx, which cancel ends.
func drainUntil(t testing.TB, ctx context.Context, cancel func(), queue ports.DeadLetterQueue, answer keeper) *letterbox {
	box := &letterbox{}
	box.worker = work(t, "Drain", ctx, cancel, func(ctx context.Context) error {
		return queue.Drain(ctx, func(ctx context.Context, letter ports.DeadLetter) (err error) {
			i, nth := box.begin(letter)
			kept := false
			defer func() { box.end(i, kept) }()
			err = answer(ctx, letter, nth)
			kept = err == nil
			return err
		})
	})
	return box
}

func (box *letterbox) begin(letter ports.DeadLetter) (i, nth int) {
	box.mu.Lock()
	defer box.mu.Unlock()
	nth = 1
	for _, o := range box.offers {
		if o.ID == letter.ID {
			nth++
		}
	}
	box.offers = append(box.offers, offer{DeadLetter: letter})
	return len(box.offers) - 1, nth
}

func (box *letterbox) end(i int, kept bool) {
	box.mu.Lock()
	defer box.mu.Unlock()
	box.offers[i].ended, box.offers[i].kept = true, kept
}

// Which letters are meant.
func anyLetter(ports.DeadLetter) bool { return true }

func letterOf(events ...domain.Event) func(ports.DeadLetter) bool {
	return func(letter ports.DeadLetter) bool {
		return slices.Contains(eventIDs(events), domain.EventID(letter.ID))
	}
}

func letterOfNoEvent(letter ports.DeadLetter) bool {
	_, isEvent := domain.EventID(letter.ID).OrderID()
	return !isEvent
}

// got returns what has been offered so far.
func (box *letterbox) got(which func(ports.DeadLetter) bool) []offer {
	box.mu.Lock()
	defer box.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(box.offers), func(o offer) bool { return !which(o.DeadLetter) })
}

// kept returns what has been kept so far.
func (box *letterbox) kept(which func(ports.DeadLetter) bool) []ports.DeadLetter {
	var kept []ports.DeadLetter
	for _, o := range box.got(which) {
		if o.kept {
			kept = append(kept, o.DeadLetter)
		}
	}
	return kept
}

// awaitOffers waits until count letters have been offered.
func (box *letterbox) awaitOffers(which func(ports.DeadLetter) bool, count int) {
	box.t.Helper()
	eventually(box.t, fmt.Sprintf("%d dead letters are drained", count), func() bool { return len(box.got(which)) >= count })
}

// awaitKept waits until count letters have been kept.
func (box *letterbox) awaitKept(which func(ports.DeadLetter) bool, count int) []ports.DeadLetter {
	box.t.Helper()
	eventually(box.t, fmt.Sprintf("%d dead letters are kept", count), func() bool { return len(box.kept(which)) >= count })
	return box.kept(which)
}
