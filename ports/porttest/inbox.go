package porttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// inbox is a running call of Consume or Drain. It keeps the items that the call
// hands over. T is [ports.Delivery] or [ports.DeadLetter].
type inbox[T any] struct {
	t      testing.TB
	method string // "Consume" or "Drain"
	id     func(T) domain.EventID
	cancel func() // ends the call's context

	returned chan struct{} // closed when the call has returned
	err      error         // the call's result
	early    bool          // the call returned before its context ended

	mu        sync.Mutex
	handovers []handover[T]
}

// handover is one call of the handler.
type handover[T any] struct {
	item         T
	began, ended time.Time // ended is zero while the handler runs
	accepted     bool      // the handler returned nil
}

// handler handles an item that is handed over for the nth time, from 1.
type handler[T any] func(ctx context.Context, item T, nth int) error

func accept[T any](context.Context, T, int) error { return nil }

func reject[T any](context.Context, T, int) error {
	return ports.Permanent(errors.New("no such address"))
}

// hold accepts every item once the gate is open.
func hold[T any](g gate) handler[T] {
	return func(context.Context, T, int) error {
		g.pass()
		return nil
	}
}

// source makes the calls of one consumer or drain.
type source[T any] struct {
	method string
	id     func(T) domain.EventID
	call   func(ctx context.Context, handle func(context.Context, T) error) error
}

func consumerOf(consumer ports.EventConsumer) source[ports.Delivery] {
	return source[ports.Delivery]{"Consume", func(d ports.Delivery) domain.EventID { return d.Event.ID },
		func(ctx context.Context, handle func(context.Context, ports.Delivery) error) error {
			return consumer.Consume(ctx, handle)
		}}
}

func drainOf(queue ports.DeadLetterQueue) source[ports.DeadLetter] {
	return source[ports.DeadLetter]{"Drain", func(l ports.DeadLetter) domain.EventID { return domain.EventID(l.ID) }, queue.Drain}
}

func consume(t testing.TB, e Events, handle handler[ports.Delivery]) *inbox[ports.Delivery] {
	return newInbox(t, t.Context(), consumerOf(e.Consumer()), handle)
}

func drain(t testing.TB, q DeadLetterQueue, handle handler[ports.DeadLetter]) *inbox[ports.DeadLetter] {
	return newInbox(t, t.Context(), drainOf(q.Queue()), handle)
}

// newInbox starts a call. It ends with ctx, or at the end of the clause.
func newInbox[T any](t testing.TB, ctx context.Context, p source[T], handle handler[T]) *inbox[T] {
	ctx, cancel := context.WithCancel(ctx)
	in := &inbox[T]{t: t, method: p.method, id: p.id, cancel: cancel, returned: make(chan struct{})}
	go func() {
		defer close(in.returned)
		defer func() {
			in.early = ctx.Err() == nil
			if r := recover(); r != nil {
				in.err = fmt.Errorf("panic: %v", r)
			}
		}()
		in.err = p.call(ctx, func(ctx context.Context, item T) error {
			i, nth := in.begin(item)
			accepted := false
			defer func() { in.end(i, accepted) }()
			err := handle(ctx, item, nth)
			accepted = err == nil
			return err
		})
	}()
	t.Cleanup(in.stop)
	return in
}

// stop ends the call and waits until it has returned.
func (in *inbox[T]) stop() {
	in.t.Helper()
	in.cancel()
	select {
	case <-in.returned:
	case <-time.After(patience):
		in.t.Errorf("%s did not return within %v after its context ended", in.method, patience)
		return
	}
	if in.err != nil {
		in.t.Errorf("%s returned error %v, want nil", in.method, in.err)
	} else if in.early {
		in.t.Errorf("%s returned before its context ended", in.method)
	}
}

func (in *inbox[T]) begin(item T) (i, nth int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	nth = 1
	for _, h := range in.handovers {
		if in.id(h.item) == in.id(item) {
			nth++
		}
	}
	in.handovers = append(in.handovers, handover[T]{item: item, began: time.Now()})
	return len(in.handovers) - 1, nth
}

func (in *inbox[T]) end(i int, accepted bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.handovers[i].ended, in.handovers[i].accepted = time.Now(), accepted
}

// got returns the handovers of these ids so far; without ids, all.
func (in *inbox[T]) got(ids ...domain.EventID) (got []handover[T]) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, h := range in.handovers {
		if len(ids) == 0 || slices.Contains(ids, in.id(h.item)) {
			got = append(got, h)
		}
	}
	return got
}

// accepted returns the items of these ids, or all, that the handler accepted.
func (in *inbox[T]) accepted(ids ...domain.EventID) (items []T) {
	for _, h := range in.got(ids...) {
		if h.accepted {
			items = append(items, h.item)
		}
	}
	return items
}

func anyHandover[T any](handover[T]) bool { return true }

func (in *inbox[T]) idsOf(counts func(handover[T]) bool) (ids []domain.EventID) {
	for _, h := range in.got() {
		if counts(h) {
			ids = append(ids, in.id(h.item))
		}
	}
	return ids
}

// awaitBegun waits until each id has been handed over.
func (in *inbox[T]) awaitBegun(ids ...domain.EventID) {
	in.t.Helper()
	awaitEach(in.t, in.method+" hands over", ids, func() []domain.EventID {
		return in.idsOf(anyHandover[T])
	})
}

// awaitEnded waits until the handler has returned for each id.
func (in *inbox[T]) awaitEnded(ids ...domain.EventID) {
	in.t.Helper()
	awaitEach(in.t, in.method+"'s handler returns for", ids, func() []domain.EventID {
		return in.idsOf(func(h handover[T]) bool { return !h.ended.IsZero() })
	})
}

// awaitAccepted waits until the handler has accepted count items of these ids,
// or of any, and returns them.
func (in *inbox[T]) awaitAccepted(count int, ids ...domain.EventID) []T {
	in.t.Helper()
	eventually(in.t, fmt.Sprintf("%s hands over %d items that its handler accepts (ids %v)", in.method, count, ids[:min(3, len(ids))]), func() bool {
		return len(in.accepted(ids...)) >= count
	})
	return in.accepted(ids...)
}

// checkOnce fails t unless exactly these ids were handed over, each once, and the
// handler accepted them.
func (in *inbox[T]) checkOnce(ids ...domain.EventID) {
	in.t.Helper()
	in.awaitEnded(ids...)
	seen := map[domain.EventID]bool{}
	for _, h := range in.got() {
		id := in.id(h.item)
		if !slices.Contains(ids, id) {
			in.t.Errorf("%s handed over %s, which the clause does not expect", in.method, id)
		} else if seen[id] {
			in.t.Errorf("%s handed over %s again, want it once", in.method, id)
		} else if !h.accepted {
			in.t.Errorf("%s's handler did not accept %s", in.method, id)
		}
		seen[id] = true
	}
}

// gate holds handlers until it opens, or the clause ends.
type gate struct {
	t      testing.TB
	opened chan struct{}
}

func newGate(t testing.TB) gate { return gate{t, make(chan struct{})} }

func (g gate) open() { close(g.opened) }

func (g gate) pass() {
	select {
	case <-g.opened:
	case <-g.t.Context().Done():
	}
}
