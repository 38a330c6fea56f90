package porttest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// inbox is a consumer at work. It keeps what it is handed and answers as told;
// the judging is left to the clause's own goroutine.
type inbox struct {
	t      testing.TB
	cancel func() // ends Consume's context

	returned chan struct{} // closed when Consume has returned
	err      error         // what it returned
	early    bool          // it returned before its context had ended

	mu        sync.Mutex
	handovers []handover
}

// handover is one call of the handler.
type handover struct {
	ports.Delivery
	began, ended time.Time // ended is zero while it is in hand
}

func handleAll(context.Context, ports.Delivery) error { return nil }

// consume starts a consumer, which ends with the clause at the latest.
func consume(t testing.TB, consumer ports.EventConsumer, answer ports.Handler) *inbox {
	ctx, cancel := context.WithCancel(t.Context())
	return consumeUntil(t, ctx, cancel, consumer, answer)
}

// consumeUntil starts a consumer that ends with ctx, which cancel ends.
func consumeUntil(t testing.TB, ctx context.Context, cancel func(), consumer ports.EventConsumer, answer ports.Handler) *inbox {
	in := &inbox{t: t, cancel: cancel, returned: make(chan struct{})}
	go func() {
		defer close(in.returned)
		defer func() {
			in.early = ctx.Err() == nil
			if p := recover(); p != nil {
				in.err = fmt.Errorf("panic: %v", p)
			}
		}()
		in.err = consumer.Consume(ctx, func(ctx context.Context, delivery ports.Delivery) error {
			defer in.end(in.begin(delivery))
			return answer(ctx, delivery)
		})
	}()
	t.Cleanup(in.stop)
	return in
}

func (in *inbox) begin(delivery ports.Delivery) int {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.handovers = append(in.handovers, handover{Delivery: delivery, began: time.Now()})
	return len(in.handovers) - 1
}

func (in *inbox) end(i int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.handovers[i].ended = time.Now()
}

// stop ends the consumer and waits until it has returned.
func (in *inbox) stop() {
	in.t.Helper()
	in.cancel()
	select {
	case <-in.returned:
	case <-time.After(patience):
		in.t.Errorf("Consume has not returned %v after its context ended", patience)
		return
	}
	if in.err != nil {
		in.t.Errorf("Consume returned error %v, want none", in.err)
	} else if in.early {
		in.t.Error("Consume returned before its context ended")
	}
}

// got returns what was handed over for any of the ids so far; without ids: all.
func (in *inbox) got(ids ...domain.EventID) []handover {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(in.handovers), func(h handover) bool {
		return len(ids) > 0 && !slices.Contains(ids, h.Event.ID)
	})
}

// attempts returns the attempts at which the event was handed over so far.
func (in *inbox) attempts(id domain.EventID) []int {
	var attempts []int
	for _, h := range in.got(id) {
		attempts = append(attempts, h.Attempt)
	}
	return attempts
}

// awaitBegun waits until each of the events has been handed over.
func (in *inbox) awaitBegun(ids ...domain.EventID) {
	in.t.Helper()
	in.await("handed over", func(handover) bool { return true }, ids)
}

// awaitHandled waits until the handler has returned for each of the events.
func (in *inbox) awaitHandled(ids ...domain.EventID) {
	in.t.Helper()
	in.await("handled", func(h handover) bool { return !h.ended.IsZero() }, ids)
}

func (in *inbox) await(what string, counts func(handover) bool, ids []domain.EventID) {
	in.t.Helper()
	eventually(in.t, fmt.Sprintf("each of %d events is %s", len(ids), what), func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		seen := map[domain.EventID]bool{}
		for _, h := range in.handovers {
			if counts(h) {
				seen[h.Event.ID] = true
			}
		}
		return !slices.ContainsFunc(ids, func(id domain.EventID) bool { return !seen[id] })
	})
}

// hasAny reports whether anything has been handed over.
func (in *inbox) hasAny() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.handovers) > 0
}

// gate holds handlers until it is opened, or the clause ends.
type gate struct {
	t    testing.TB
	open chan struct{}
}

func newGate(t testing.TB) gate { return gate{t, make(chan struct{})} }

func (g gate) pass() {
	select {
	case <-g.open:
	case <-g.t.Context().Done():
	}
}
