package porttest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

var eventsStop = []Clause[Events]{
	{"Consume uses the results of its last handlers", func(t testing.TB, e Events) {
		fine, failing, hopeless := event(1), event(2), event(3)
		ended := newGate(t)
		first := consume(t, e, func(_ context.Context, d ports.Delivery, _ int) error {
			ended.pass()
			switch d.Event.ID {
			case failing.ID:
				return errors.New("not yet")
			case hopeless.ID:
				return ports.Permanent(errors.New("never"))
			}
			return nil
		})
		publish(t, e, fine, failing, hopeless)
		first.awaitBegun(fine.ID, failing.ID, hopeless.ID)
		first.cancel()
		ended.open()
		first.stop()

		second := consume(t, e, accept)
		second.awaitEnded(failing.ID)
		time.Sleep(quiet)
		checkAttempts(t, second, failing.ID, 2)
		for _, again := range second.got(fine.ID, hopeless.ID) {
			t.Errorf("event %s came again, although its handler had accepted or rejected it", again.item.Event.ID)
		}
	}},

	// Two events of one order are never handled at once, so every event after
	// the first would come after the context has ended.
	{"Consume delivers nothing after its context has ended, and leaves the rest to the next consumer", func(t testing.TB, e Events) {
		all := eventsOf(1, 5)
		ended := newGate(t)
		first := consume(t, e, hold[ports.Delivery](ended))
		publish(t, e, all...)
		eventually(t, "Consume delivers an event", func() bool { return len(first.got()) > 0 })
		time.Sleep(quiet) // a consumer may prefetch the others meanwhile
		first.cancel()
		ended.open()
		first.stop()

		handed := first.got()
		if len(handed) > 1 {
			t.Fatalf("Consume delivered %d events of order %s, want one before its context ended and none after it", len(handed), all[0].Order.ID)
		}
		others := slices.DeleteFunc(all, func(event domain.Event) bool { return event == handed[0].item.Event })
		second := consume(t, e, accept)
		awaitHandled(t, second, others)
		checkAttempts(t, second, all[0].ID, slices.Repeat([]int{1}, len(others))...)
	}},
}
