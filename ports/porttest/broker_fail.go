package porttest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// failUntil fails every attempt before the last one.
func failUntil(last int) handler[ports.Delivery] {
	return func(_ context.Context, d ports.Delivery, _ int) error {
		if d.Attempt < last {
			return fmt.Errorf("failure no. %d", d.Attempt)
		}
		return nil
	}
}

// failBeforeReject fails every attempt before the last one, and rejects that.
func failBeforeReject(last int) handler[ports.Delivery] {
	return func(ctx context.Context, d ports.Delivery, nth int) error {
		if err := failUntil(last)(ctx, d, nth); err != nil {
			return err
		}
		return fmt.Errorf("send: %w", reject(ctx, d, nth))
	}
}

// rejectEach rejects each event at its first attempt, except later, which it fails
// first. The rejection of wrapped and later is wrapped in another error.
func rejectEach(wrapped, later domain.Event) handler[ports.Delivery] {
	return func(ctx context.Context, d ports.Delivery, nth int) error {
		switch d.Event {
		case wrapped:
			return failBeforeReject(1)(ctx, d, nth)
		case later:
			return failBeforeReject(2)(ctx, d, nth)
		}
		return reject(ctx, d, nth)
	}
}

// postponing returns a handler and the attempts that it must see. The handler
// postpones an event more often than the broker retries a failure, then fails it
// once.
func postponing(e Events) (handler[ports.Delivery], []int) {
	postponed := e.Attempts + 1
	return func(_ context.Context, _ ports.Delivery, nth int) error {
		away := ports.Postpone(errors.New("the store is unreachable"))
		switch {
		case nth == 1:
			return fmt.Errorf("claim: %w", away)
		case nth <= postponed:
			return away
		case nth == postponed+1:
			return errors.New("busy")
		}
		return nil
	}, append(slices.Repeat([]int{1}, postponed+1), 2)
}

func panicOn(event domain.Event) handler[ports.Delivery] {
	return func(_ context.Context, d ports.Delivery, _ int) error {
		if d.Event.ID == event.ID {
			panic("handler out of order")
		}
		return nil
	}
}

// upTo returns the numbers from 1 to n.
func upTo(n int) (numbers []int) {
	for i := range n {
		numbers = append(numbers, i+1)
	}
	return numbers
}

// notEvents returns bodies that are not events, and that a broker easily changes
// on their way.
func notEvents() []string {
	return []string{"", " ", "null", "{}", "[]", "hello", "\x00\xff\xfe", `{"id":"` + string(orderID(1)) + `"}`, strings.Repeat("x", 100_000)}
}

func awaitAttempts(t testing.TB, in *deliveries, id domain.EventID, count int) {
	t.Helper()
	eventually(t, fmt.Sprintf("event %s is delivered %d times", id, count), func() bool { return len(attempts(in, id)) >= count })
}

var eventsFail = []Clause[Events]{
	{"an event whose handler fails comes again until it is handled, with its attempts counted", func(t testing.TB, e Events) {
		const last = 3 // the least that Events.Attempts allows
		want := events(1, 5)
		in := consume(t, e, failUntil(last))
		publish(t, e, want...)
		for _, event := range want {
			awaitAttempts(t, in, event.ID, last)
		}
		time.Sleep(quiet)
		for _, event := range want {
			checkAttempts(t, in, event.ID, upTo(last)...)
			for _, h := range in.got(event.ID) {
				checkEqual(t, "event "+string(event.ID), event, h.item.Event)
			}
		}
	}},

	// A slow machine adds to each delay. The smallest of several measurements
	// approaches the delay itself.
	{"the delay before an event comes again grows with each attempt", func(t testing.TB, e Events) {
		const rounds, perRound = 20, 5
		const growth = 25 * time.Millisecond // half of the growth that Events requires
		in := consume(t, e, failUntil(math.MaxInt))
		least := slices.Repeat([]time.Duration{math.MaxInt64}, e.Attempts) // before each attempt
		least[0] = 0
		grows := func() bool {
			for i := range least[1:] {
				if least[i+1] < least[i]+growth {
					return false
				}
			}
			return true
		}
		for round := 0; round == 0 || round < rounds && !grows(); round++ {
			mine := events(round*perRound, perRound)
			publish(t, e, mine...)
			for _, event := range mine {
				awaitAttempts(t, in, event.ID, e.Attempts)
				in.awaitEnded(event.ID)
				got := in.got(event.ID)
				for i := 1; i < min(len(got), len(least)); i++ {
					least[i] = min(least[i], got[i].began.Sub(got[i-1].ended))
				}
			}
		}
		if !grows() {
			t.Errorf("delays before the attempts of orders from %s on: %v, want each longer than the one before", orderID(0), least[1:])
		}
	}},

	// A slow machine may let the failed event come again before the others, but
	// not in each round.
	{"a failing event does not hold up the events of other orders", func(t testing.TB, e Events) {
		const rounds, others = 20, 5
		for round := range rounds {
			all := events(round*100, 1+others)
			failing, fine := all[0], all[1:]
			published := newGate(t)
			in := consume(t, e, func(_ context.Context, d ports.Delivery, _ int) error {
				if d.Event.ID == failing.ID && d.Attempt == 1 {
					published.pass()
					return errors.New("not yet")
				}
				return nil
			})
			publish(t, e, failing)
			in.awaitBegun(failing.ID)
			publish(t, e, fine...)
			published.open()
			in.awaitEnded(eventIDs(fine)...)
			awaitAttempts(t, in, failing.ID, 2)
			in.stop()
			again := in.got(failing.ID)[1]
			if slices.ContainsFunc(in.got(eventIDs(fine)...), func(h handover[ports.Delivery]) bool { return h.began.Before(again.began) }) {
				return
			}
		}
		t.Errorf("in each of %d rounds the events of other orders came only after the failed one had come again, such as %s", rounds, event(0).ID)
	}},

	{"an event whose handler always fails does not come again after its last attempt", func(t testing.TB, e Events) {
		in := consume(t, e, failUntil(math.MaxInt))
		publish(t, e, event(1))
		awaitAttempts(t, in, event(1).ID, e.Attempts)
		time.Sleep(quiet)
		checkAttempts(t, in, event(1).ID, upTo(e.Attempts)...)
	}},

	{"an event that its handler rejects does not come again", func(t testing.TB, e Events) {
		atOnce, wrapped, later := event(1), event(2), event(3)
		in := consume(t, e, rejectEach(wrapped, later))
		publish(t, e, atOnce, wrapped, later)
		awaitAttempts(t, in, later.ID, 2)
		in.awaitEnded(atOnce.ID, wrapped.ID)
		time.Sleep(quiet)
		checkAttempts(t, in, atOnce.ID, 1)
		checkAttempts(t, in, wrapped.ID, 1)
		checkAttempts(t, in, later.ID, 1, 2)
	}},

	{"a postponed event comes again as the same attempt, each time", func(t testing.TB, e Events) {
		handle, want := postponing(e)
		in := consume(t, e, handle)
		publish(t, e, event(1))
		awaitAttempts(t, in, event(1).ID, len(want))
		time.Sleep(quiet)
		checkAttempts(t, in, event(1).ID, want...)
	}},

	{"an event whose handler panics does not come again, and the consumer continues", func(t testing.TB, e Events) {
		bad, good := event(1), event(2)
		in := consume(t, e, panicOn(bad))
		publish(t, e, bad)
		in.awaitEnded(bad.ID)
		publish(t, e, good)
		in.awaitEnded(good.ID)
		time.Sleep(quiet)
		checkAttempts(t, in, bad.ID, 1)
	}},

	{"a message that is not an event is not delivered, and blocks nothing", func(t testing.TB, e Events) {
		in := consume(t, e, accept)
		inject(t, e, notEvents()...)
		want := events(1, 10)
		publish(t, e, want...)
		checkDelivered(t, in, want...)
		time.Sleep(quiet)
		checkDelivered(t, in, want...)
	}},
}
