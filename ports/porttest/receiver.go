package porttest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"example.com/orderflow/domain"
)

// receiver has the clauses of both Consume and Drain. A is the adapter, T the type of
// the items that it hands over.
type receiver[A, T any] struct {
	method string
	items  string                                          // "events" or "dead letters"
	open   func(a A) source[T]                             // another consumer or drain of the same queue
	intact func(t testing.TB, item T, event domain.Event)  // fails t unless the item has the event, as at its first handover
	feed   func(t testing.TB, a A, events ...domain.Event) // puts items into the queue, with the events' ids
}

func (p receiver[A, T]) start(t testing.TB, a A, handle handler[T]) *inbox[T] {
	return newInbox(t, t.Context(), p.open(a), handle)
}

// check fails t unless the call handed over each of the events once, intact, and
// nothing else.
func (p receiver[A, T]) check(t testing.TB, in *inbox[T], events ...domain.Event) {
	t.Helper()
	in.checkOnce(eventIDs(events)...)
	for _, event := range events {
		for _, item := range in.accepted(event.ID) {
			p.intact(t, item, event)
		}
	}
}

func (p receiver[A, T]) clauses() []Clause[A] {
	return []Clause[A]{
		{p.method + " returns nil at once if its context has ended, and takes nothing", func(t testing.TB, a A) {
			want := events(1, 3)
			p.feed(t, a, want...)
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			in := newInbox(t, ended, p.open(a), accept)
			in.stop()
			if got := in.got(); len(got) > 0 {
				t.Errorf("%s with an ended context handed over %s, want nothing", p.method, in.id(got[0].item))
			}
			p.check(t, p.start(t, a, accept), want...)
		}},

		{p.method + " without a handler returns an error at once", func(t testing.TB, a A) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := p.open(a).call(ctx, nil); err == nil || ctx.Err() != nil {
				t.Errorf("%s without a handler returned error %v, want an error at once", p.method, err)
			}
		}},

		{p.method + " waits until its context ends, and then returns nil", func(t testing.TB, a A) {
			in := p.start(t, a, accept)
			for n := range 3 {
				select {
				case <-in.returned:
					t.Fatalf("%s returned error %v before its context ended", p.method, in.err)
				case <-time.After(quiet):
				}
				p.feed(t, a, event(n))
				in.awaitEnded(event(n).ID)
			}
			in.stop()
		}},

		{p.method + " hands over several " + p.items + " at once", func(t testing.TB, a A) {
			want := events(1, 10)
			all := newGate(t)
			in := p.start(t, a, hold[T](all))
			p.feed(t, a, want...)
			in.awaitBegun(eventIDs(want)...)
			all.open()
			p.check(t, in, want...)
		}},

		{p.method + " never hands over accepted " + p.items + " again", func(t testing.TB, a A) {
			accepted, fresh := events(1, 20), event(100)
			p.feed(t, a, accepted...)
			first := p.start(t, a, accept)
			p.check(t, first, accepted...)
			first.stop()

			second := p.start(t, a, accept)
			p.feed(t, a, fresh)
			second.awaitEnded(fresh.ID)
			time.Sleep(quiet)
			p.check(t, second, fresh)
		}},

		{"several calls of " + p.method + " share the " + p.items, func(t testing.TB, a A) {
			p.share(t, a, p.open(a), p.open(a))
		}},

		{p.method + " gives its handler a context with a deadline", func(t testing.TB, a A) {
			p.feed(t, a, event(1))
			faults := make(chan string, 10)
			in := p.start(t, a, func(ctx context.Context, _ T, _ int) error {
				if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) <= 0 || ctx.Err() != nil {
					faults <- fmt.Sprintf("has deadline %v (%t) and error %v, want a deadline ahead", deadline, ok, ctx.Err())
				}
				return nil
			})
			in.awaitEnded(event(1).ID)
			if len(faults) > 0 {
				t.Errorf("the context of the handler of %s %s", event(1).ID, <-faults)
			}
		}},

		{p.method + " keeps its handler's context alive when its own ends", func(t testing.TB, a A) {
			ended := newGate(t)
			faults := make(chan error, 10)
			p.feed(t, a, event(1))
			in := p.start(t, a, func(ctx context.Context, _ T, _ int) error {
				ended.pass()
				select {
				case <-ctx.Done():
					faults <- ctx.Err()
				case <-time.After(quiet):
				}
				return nil
			})
			in.awaitBegun(event(1).ID)
			in.cancel()
			ended.open()
			in.awaitEnded(event(1).ID)
			if len(faults) > 0 {
				t.Errorf("the context of the handler of %s ended (%v) soon after %s's, want later", event(1).ID, <-faults, p.method)
			}
		}},

		{p.method + " waits for its running handlers before it returns", func(t testing.TB, a A) {
			want := events(1, 3)
			done := newGate(t)
			p.feed(t, a, want...)
			in := p.start(t, a, hold[T](done))
			in.awaitBegun(eventIDs(want)...)
			in.cancel()
			select {
			case <-in.returned:
				t.Errorf("%s returned while its handlers ran", p.method)
			case <-time.After(quiet):
			}
			done.open()
			in.stop()
			for _, h := range in.got() {
				if h.ended.IsZero() {
					t.Errorf("%s returned before the handler of %s", p.method, in.id(h.item))
				}
			}
		}},
	}
}

// share checks that two calls together hand over each item once. Handlers wait until
// both calls have an item, so that neither call takes all items before the other has
// begun.
func (p receiver[A, T]) share(t testing.TB, a A, one, other source[T]) {
	const wave, waves = 50, 40
	both := newGate(t)
	first, second := newInbox(t, t.Context(), one, hold[T](both)), newInbox(t, t.Context(), other, hold[T](both))
	var want []domain.Event
	bothHave := func() bool { return len(first.got()) > 0 && len(second.got()) > 0 }
	for n := 0; n < waves && !bothHave(); n++ {
		more := events(n*wave, wave)
		p.feed(t, a, more...)
		want = append(want, more...)
		time.Sleep(5 * tick)
	}
	eventually(t, "both calls of "+p.method+" get "+p.items, bothHave)
	both.open()

	awaitEach(t, "the calls of "+p.method+" hand over", eventIDs(want), func() []domain.EventID {
		return append(first.idsOf(anyHandover[T]), second.idsOf(anyHandover[T])...)
	})
	time.Sleep(quiet)
	for _, event := range want {
		handed := append(first.got(event.ID), second.got(event.ID)...)
		if len(handed) != 1 {
			t.Errorf("two calls of %s handed over %s %d times, want once", p.method, event.ID, len(handed))
		}
		p.intact(t, handed[0].item, event)
	}
}
