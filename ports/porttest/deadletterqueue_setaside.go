package porttest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// checkSetAside fails t unless there is one dead letter with this id, with these
// attempts and a reason that contains this text.
func checkSetAside(t testing.TB, aside *letters, id domain.EventID, attempts int, reason string) {
	t.Helper()
	got := aside.awaitAccepted(1, id)
	if len(got) != 1 {
		t.Fatalf("dead letter %s was handed over %d times, want once", id, len(got))
	}
	failure := got[0].Failure
	if failure.Attempts != attempts {
		t.Errorf("dead letter %s has %d attempts, want %d", id, failure.Attempts, attempts)
	}
	if !strings.Contains(failure.Reason, reason) {
		t.Errorf("the reason of dead letter %s is %q, want a reason that contains %q", id, failure.Reason, reason)
	}
}

var queueSetAside = []Clause[DeadLetterQueue]{
	{"an event becomes a dead letter after its last attempt, with attempts and reason", func(t testing.TB, q DeadLetterQueue) {
		aside := drain(t, q, accept)
		consume(t, q.Events, failUntil(math.MaxInt))
		publish(t, q.Events, event(1))
		aside.awaitAccepted(1, event(1).ID)
		time.Sleep(quiet)
		checkSetAside(t, aside, event(1).ID, q.Attempts, fmt.Sprintf("failure no. %d", q.Attempts))
	}},

	{"a rejected event becomes a dead letter at once, with attempts and reason", func(t testing.TB, q DeadLetterQueue) {
		atOnce, wrapped, later := event(1), event(2), event(3)
		aside := drain(t, q, accept)
		consume(t, q.Events, rejectEach(wrapped, later))
		publish(t, q.Events, atOnce, wrapped, later)
		aside.awaitEnded(atOnce.ID, wrapped.ID, later.ID)
		time.Sleep(quiet)
		checkSetAside(t, aside, atOnce.ID, 1, "no such address")
		checkSetAside(t, aside, wrapped.ID, 1, "send: no such address")
		checkSetAside(t, aside, later.ID, 2, "send: no such address")
	}},

	{"an event whose handler panics becomes a dead letter, with attempts and reason", func(t testing.TB, q DeadLetterQueue) {
		aside := drain(t, q, accept)
		consume(t, q.Events, panicOn(event(1)))
		publish(t, q.Events, event(1), event(2))
		aside.awaitAccepted(1, event(1).ID)
		time.Sleep(quiet)
		checkSetAside(t, aside, event(1).ID, 1, "handler out of order")
	}},

	{"a message that is not an event becomes one dead letter, with attempts and reason", func(t testing.TB, q DeadLetterQueue) {
		aside := drain(t, q, accept)
		in := consume(t, q.Events, accept)
		inject(t, q.Events, notEvents()...)
		publish(t, q.Events, events(1, 10)...)
		checkDelivered(t, in, events(1, 10)...)
		got := aside.awaitAccepted(len(notEvents()))
		if len(got) > len(notEvents()) {
			t.Errorf("%d messages became %d dead letters, the last %s, want one each", len(notEvents()), len(got), got[len(got)-1].ID)
		}
		for _, letter := range got {
			if f := letter.Failure; f.Attempts != 1 || f.Reason == "" {
				t.Errorf("dead letter %s has %d attempts and reason %q, want 1 and a reason", letter.ID, f.Attempts, f.Reason)
			}
		}
	}},

	{"an event that is handled in the end, or that Publish refuses, does not become a dead letter", func(t testing.TB, q DeadLetterQueue) {
		fine, failing, postponed := event(1), event(2), event(3)
		aside := drain(t, q, accept)
		postpone, attempts := postponing(q.Events)
		in := consume(t, q.Events, func(ctx context.Context, d ports.Delivery, nth int) error {
			switch d.Event {
			case failing:
				return failUntil(3)(ctx, d, nth)
			case postponed:
				return postpone(ctx, d, nth)
			}
			return nil
		})
		for fault, event := range unpublishable() {
			checkRefusal(t, fault, event, errors.Join(q.Publisher.Publish(bounded(t), event)...))
		}
		publish(t, q.Events, fine, failing, postponed)
		in.awaitEnded(fine.ID)
		awaitAttempts(t, in, failing.ID, 3)
		awaitAttempts(t, in, postponed.ID, len(attempts))
		time.Sleep(quiet)
		for _, h := range aside.got() {
			t.Errorf("%s became a dead letter because of %q, want none", h.item.ID, h.item.Failure.Reason)
		}
	}},
}
