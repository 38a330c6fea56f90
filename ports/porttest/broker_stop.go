package porttest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func handlerOutlivesConsume(t testing.TB, b Broker) {
	ended := newGate(t)
	got := make(chan error, 10)
	in := consume(t, b.Consumer(), func(ctx context.Context, _ ports.Delivery) error {
		ended.pass()
		select {
		case <-ctx.Done():
		case <-time.After(quiet):
		}
		got <- ctx.Err()
		return nil
	})
	publish(t, b, order(t, 1).Created())
	in.awaitBegun(order(t, 1).Created().ID)
	in.cancel()
	close(ended.open)
	in.awaitHandled(order(t, 1).Created().ID)
	if err := <-got; err != nil {
		t.Errorf("handler's context: %v, soon after Consume's had ended", err)
	}
}

func consumeWaits(t testing.TB, b Broker) {
	want := events(t, 1, 3)
	done := newGate(t)
	in := consume(t, b.Consumer(), func(context.Context, ports.Delivery) error {
		done.pass()
		return nil
	})
	publish(t, b, want...)
	in.awaitBegun(eventIDs(want)...)
	in.cancel()
	select {
	case <-in.returned:
		t.Error("Consume returned while handlers were at work")
	case <-time.After(quiet):
	}
	close(done.open)
	in.stop()
	for _, h := range in.got() {
		if h.ended.IsZero() {
			t.Errorf("Consume returned before the handler of %s had", h.Event.ID)
		}
	}
}

// The verdicts of handlers that return after Consume's context has ended count
// as any other.
func consumeSettlesLast(t testing.TB, b Broker) {
	fine, failing, hopeless := order(t, 1).Created(), order(t, 2).Created(), order(t, 3).Created()
	ended := newGate(t)
	first := consume(t, b.Consumer(), func(_ context.Context, d ports.Delivery) error {
		ended.pass()
		switch d.Event.ID {
		case failing.ID:
			return errors.New("not yet")
		case hopeless.ID:
			return ports.Permanent(errors.New("never"))
		}
		return nil
	})
	publish(t, b, fine, failing, hopeless)
	first.awaitBegun(fine.ID, failing.ID, hopeless.ID)
	first.cancel()
	close(ended.open)
	first.stop()

	second := consume(t, b.Consumer(), handleAll)
	second.awaitHandled(failing.ID)
	time.Sleep(quiet)
	if diff := cmp.Diff([]int{2}, second.attempts(failing.ID)); diff != "" {
		t.Errorf("attempts of the event that had failed, at the next consumer (-want +got):\n%s", diff)
	}
	if again := second.got(fine.ID, hopeless.ID); len(again) > 0 {
		t.Errorf("event %s came again, though it was dealt with", again[0].Event.ID)
	}
	drain(t, b.DeadLetters(), keepAll).awaitKept(letterOf(hopeless), 1)
}

// Two of one order are never in hand at once, so what comes after the first
// comes after the context has ended.
func consumeTakesNoMore(t testing.TB, b Broker) {
	all := eventsOf(t, 1, 5)
	ended := newGate(t)
	first := consume(t, b.Consumer(), func(context.Context, ports.Delivery) error {
		ended.pass()
		return nil
	})
	publish(t, b, all...)
	eventually(t, "an event is handed over", first.hasAny)
	time.Sleep(quiet) // for the consumer to fetch the others too, if it does
	first.cancel()
	close(ended.open)
	first.stop()

	handed := first.got()
	if len(handed) > 1 {
		t.Fatalf("%d events of one order were handed over, want one before the context ended and none after it", len(handed))
	}
	others := slices.DeleteFunc(all, func(e domain.Event) bool { return e == handed[0].Event })
	second := consume(t, b.Consumer(), handleAll)
	second.awaitEach(others...)
	if got := len(second.got()); got != len(others) {
		t.Errorf("%d events were handed over to the next consumer, want the other %d", got, len(others))
	}
	for _, attempt := range second.attempts(all[0].ID) {
		if attempt != 1 {
			t.Errorf("an event was handed over to the next consumer at attempt %d, without a failure", attempt)
		}
	}
}
