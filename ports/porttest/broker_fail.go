package porttest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func failureClauses() []Clause[Broker] {
	return []Clause[Broker]{
		{"an event whose handler fails comes again until it is handled, and counts its attempts", failThenSucceed},
		{"the delay before an event comes again grows from one attempt to the next", failDelaysGrow},
		{"a failing event does not hold up those of other orders", failHoldsUpNobody},
		{"after the last attempt an event is set aside, with attempts and reason", failToTheLast},
		{"an event whose handler fails for good is set aside at once", failPermanently},
		{"an event that is postponed comes again as the same attempt, however often", failPostponed},
		{"an event whose handler panics is set aside, and the consumer lives on", failByPanic},
		{"what is no event is set aside, and blocks nothing", failToDecode},
	}
}

// checkSetAside fails t unless the event is set aside once, after so many
// attempts and for a reason that contains the words.
func checkSetAside(t testing.TB, aside *letterbox, event domain.Event, attempts int, reason string) {
	t.Helper()
	got := aside.got(letterOf(event))
	if len(got) != 1 {
		t.Fatalf("event %s was set aside %d times, want once", event.ID, len(got))
	}
	failure := lastFailure(t, got[0].DeadLetter)
	if failure.Attempts != attempts {
		t.Errorf("event %s was set aside after %d attempts, want %d", event.ID, failure.Attempts, attempts)
	}
	if !strings.Contains(failure.Reason, reason) {
		t.Errorf("event %s was set aside because of %q, want a reason that contains %q", event.ID, failure.Reason, reason)
	}
}

// lastFailure returns the one failure that a letter has when it is drained.
func lastFailure(t testing.TB, letter ports.DeadLetter) ports.Failure {
	t.Helper()
	if len(letter.Failures) != 1 {
		t.Fatalf("dead letter %s is drained with %d failures, want the one it was set aside for", letter.ID, len(letter.Failures))
	}
	return letter.Failures[0]
}

func checkNothingAside(t testing.TB, aside *letterbox) {
	t.Helper()
	if all := aside.got(anyLetter); len(all) > 0 {
		t.Errorf("set aside: %+v, want nothing", all)
	}
}

func failThenSucceed(t testing.TB, b Broker) {
	const last = 3 // which every broker has
	want := events(t, 1, 5)
	aside := drain(t, b.DeadLetters(), keepAll)
	in := consume(t, b.Consumer(), func(_ context.Context, d ports.Delivery) error {
		if d.Attempt < last {
			return fmt.Errorf("not at attempt %d", d.Attempt)
		}
		return nil
	})
	publish(t, b, want...)
	eventually(t, "each event comes again until it is handled", func() bool {
		return !slices.ContainsFunc(want, func(e domain.Event) bool { return len(in.attempts(e.ID)) < last })
	})
	time.Sleep(quiet)
	for _, event := range want {
		if diff := cmp.Diff([]int{1, 2, 3}, in.attempts(event.ID)); diff != "" {
			t.Errorf("attempts of event %s (-want +got):\n%s", event.ID, diff)
		}
		for _, h := range in.got(event.ID) {
			checkEvent(t, event, h.Event)
		}
	}
	checkNothingAside(t, aside)
}

// What is measured is the delay and whatever the machine adds to it: the least
// of several comes down to the delay, if need be in several rounds.
func failDelaysGrow(t testing.TB, b Broker) {
	const rounds, atOnce = 20, 5
	const growth = 25 * time.Millisecond // half of what Broker asks for
	aside := drain(t, b.DeadLetters(), keepAll)
	in := consume(t, b.Consumer(), func(context.Context, ports.Delivery) error {
		return errors.New("not yet")
	})
	least := make([]time.Duration, b.Attempts) // before each attempt
	for i := 1; i < len(least); i++ {
		least[i] = math.MaxInt64
	}
	grows := func() bool {
		for i := 1; i < len(least); i++ {
			if least[i] < least[i-1]+growth {
				return false
			}
		}
		return true
	}
	for round := 0; round == 0 || round < rounds && !grows(); round++ {
		mine := events(t, round*atOnce, atOnce)
		publish(t, b, mine...)
		for _, event := range mine {
			aside.awaitKept(letterOf(event), 1)
			got := in.got(event.ID)
			if len(got) != b.Attempts {
				t.Fatalf("event %s was handed over %d times, want %d", event.ID, len(got), b.Attempts)
			}
			for i := 1; i < len(got); i++ {
				least[i] = min(least[i], got[i].began.Sub(got[i-1].ended))
			}
		}
	}
	if !grows() {
		t.Errorf("delays before the attempts: %v, want each longer than the one before", least[1:])
	}
}

// A machine that stalls may let the failed event come again before any of the
// others, but not each time.
func failHoldsUpNobody(t testing.TB, b Broker) {
	const rounds, others = 20, 5
	for round := range rounds {
		all := events(t, round*100, 1+others)
		failing, fine := all[0], all[1:]
		published := newGate(t)
		in := consume(t, b.Consumer(), func(_ context.Context, d ports.Delivery) error {
			if d.Event.ID == failing.ID && d.Attempt == 1 {
				published.pass()
				return errors.New("not yet")
			}
			return nil
		})
		publish(t, b, failing)
		in.awaitBegun(failing.ID)
		publish(t, b, fine...)
		close(published.open)
		in.awaitHandled(eventIDs(fine)...)
		eventually(t, "the failed event comes again", func() bool { return len(in.got(failing.ID)) > 1 })
		in.stop()
		again := in.got(failing.ID)[1]
		if slices.ContainsFunc(in.got(eventIDs(fine)...), func(h handover) bool { return h.began.Before(again.began) }) {
			return
		}
	}
	t.Errorf("in each of %d rounds, others were handed over only after the failed event had come again", rounds)
}

func failToTheLast(t testing.TB, b Broker) {
	event := order(t, 1).Created()
	aside := drain(t, b.DeadLetters(), keepAll)
	in := consume(t, b.Consumer(), func(_ context.Context, d ports.Delivery) error {
		return fmt.Errorf("failure no. %d", d.Attempt)
	})
	publish(t, b, event)
	aside.awaitKept(letterOf(event), 1)
	time.Sleep(quiet)
	checkSetAside(t, aside, event, b.Attempts, fmt.Sprintf("failure no. %d", b.Attempts))
	var want []int
	for n := range b.Attempts {
		want = append(want, n+1)
	}
	if diff := cmp.Diff(want, in.attempts(event.ID)); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
}

func failPermanently(t testing.TB, b Broker) {
	atOnce, wrapped, later := order(t, 1).Created(), order(t, 2).Created(), order(t, 3).Created()
	aside := drain(t, b.DeadLetters(), keepAll)
	in := consume(t, b.Consumer(), func(_ context.Context, d ports.Delivery) error {
		switch {
		case d.Event == wrapped:
			return fmt.Errorf("send: %w", ports.Permanent(errors.New("no such address")))
		case d.Event == later && d.Attempt == 1:
			return errors.New("not yet")
		}
		return ports.Permanent(errors.New("no such address"))
	})
	publish(t, b, atOnce, wrapped, later)
	for event, attempts := range map[domain.Event]int{atOnce: 1, wrapped: 1, later: 2} {
		aside.awaitKept(letterOf(event), 1)
		time.Sleep(quiet)
		checkSetAside(t, aside, event, attempts, "no such address")
		if n := len(in.got(event.ID)); n != attempts {
			t.Errorf("event %s was handed over %d times, want %d", event.ID, n, attempts)
		}
	}
}

func failPostponed(t testing.TB, b Broker) {
	aside := drain(t, b.DeadLetters(), keepAll)
	event := order(t, 1).Created()
	var calls atomic.Int64
	postponed := int64(b.Attempts + 1) // more often than a failure may come again
	in := consume(t, b.Consumer(), func(context.Context, ports.Delivery) error {
		switch n := calls.Add(1); {
		case n == 1:
			return fmt.Errorf("claim: %w", ports.Postpone(errors.New("the store is away")))
		case n <= postponed:
			return ports.Postpone(errors.New("the store is away"))
		case n == postponed+1:
			return errors.New("busy")
		}
		return nil
	})
	publish(t, b, event)
	want := append(slices.Repeat([]int{1}, int(postponed)+1), 2)
	eventually(t, "the event comes again until it is handled", func() bool { return len(in.attempts(event.ID)) >= len(want) })
	time.Sleep(quiet)
	if diff := cmp.Diff(want, in.attempts(event.ID)); diff != "" {
		t.Errorf("attempts of the event (-want +got):\n%s", diff)
	}
	checkNothingAside(t, aside)
}

func failByPanic(t testing.TB, b Broker) {
	bad, good := order(t, 1).Created(), order(t, 2).Created()
	aside := drain(t, b.DeadLetters(), keepAll)
	in := consume(t, b.Consumer(), func(_ context.Context, d ports.Delivery) error {
		if d.Event.ID == bad.ID {
			panic("handler out of order")
		}
		return nil
	})
	publish(t, b, bad)
	aside.awaitKept(letterOf(bad), 1)
	publish(t, b, good)
	in.awaitHandled(good.ID)
	time.Sleep(quiet)
	checkSetAside(t, aside, bad, 1, "handler out of order")
	if n := len(in.got(bad.ID)); n != 1 {
		t.Errorf("the event was handed over %d times, want once", n)
	}
}

func failToDecode(t testing.TB, b Broker) {
	aside := drain(t, b.DeadLetters(), keepAll)
	in := consume(t, b.Consumer(), handleAll)
	inject(t, b, notEvents()...)
	want := events(t, 1, 10)
	publish(t, b, want...)
	checkHandedOver(t, in, want...)
	letters := aside.awaitKept(letterOfNoEvent, len(notEvents()))
	if len(letters) > len(notEvents()) {
		t.Errorf("%d messages were set aside, want %d", len(letters), len(notEvents()))
	}
	for _, letter := range letters {
		if f := lastFailure(t, letter); f.Attempts != 1 || f.Reason == "" {
			t.Errorf("set aside after %d attempts because of %q, want one, and a reason", f.Attempts, f.Reason)
		}
	}
	checkHandedOver(t, in, want...)
}

// notEvents returns bodies that are no events, each easy to spoil on its way.
func notEvents() []string {
	return []string{"", " ", "null", "{}", "[]", "hello", "\x00\xff\xfe", `{"id":"` + string(orderID(1)) + `"}`, strings.Repeat("x", 100_000)}
}

func inject(t testing.TB, b Broker, bodies ...string) {
	t.Helper()
	ctx := bounded(t)
	for _, body := range bodies {
		if err := b.Inject(ctx, []byte(body)); err != nil {
			t.Fatalf("inject %.20q: %v", body, err)
		}
	}
}
