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

// worker is a call of Consume or Drain under way.
type worker struct {
	t      testing.TB
	name   string // of the call
	cancel func() // ends its context

	returned chan struct{} // closed when it has returned
	err      error         // what it returned
	early    bool          // it returned before its context had ended
}

// work makes the call, whose context cancel ends, and which ends with the
// clause at the latest.
func work(t testing.TB, name string, ctx context.Context, cancel func(), call func(context.Context) error) *worker {
	w := &worker{t: t, name: name, cancel: cancel, returned: make(chan struct{})}
	go func() {
		defer close(w.returned)
		defer func() {
			w.early = ctx.Err() == nil
			if p := recover(); p != nil {
				w.err = fmt.Errorf("panic: %v", p)
			}
		}()
		w.err = call(ctx)
	}()
	t.Cleanup(w.stop)
	return w
}

// stop ends the call and waits until it has returned.
func (w *worker) stop() {
	w.t.Helper()
	w.cancel()
	select {
	case <-w.returned:
	case <-time.After(patience):
		w.t.Errorf("%s has not returned %v after its context ended", w.name, patience)
		return
	}
	if w.err != nil {
		w.t.Errorf("%s returned error %v, want none", w.name, w.err)
	} else if w.early {
		w.t.Errorf("%s returned before its context ended", w.name)
	}
}

// inbox is a consumer at work. It keeps what it is handed and answers as told;
// the judging is left to the clause's own goroutine.
type inbox struct {
	*worker
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
	in := &inbox{}
	in.worker = work(t, "Consume", ctx, cancel, func(ctx context.Context) error {
		return consumer.Consume(ctx, func(ctx context.Context, delivery ports.Delivery) error {
			defer in.end(in.begin(delivery))
			return answer(ctx, delivery)
		})
	})
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

// awaitEach waits until the handler has returned for each of the events, which
// may share an id.
func (in *inbox) awaitEach(events ...domain.Event) {
	in.t.Helper()
	eventually(in.t, fmt.Sprintf("each of %d events is handled", len(events)), func() bool {
		handled := map[domain.Event]bool{}
		for _, h := range in.got() {
			if !h.ended.IsZero() {
				handled[h.Event] = true
			}
		}
		return !slices.ContainsFunc(events, func(e domain.Event) bool { return !handled[e] })
	})
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
