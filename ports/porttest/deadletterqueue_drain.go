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

// letters is an inbox of dead letters.
type letters = inbox[ports.DeadLetter]

// setAside makes dead letters of the events before it returns.
func setAside(t testing.TB, q DeadLetterQueue, events ...domain.Event) {
	t.Helper()
	in := consume(t, q.Events, reject)
	publish(t, q.Events, events...)
	in.awaitEnded(eventIDs(events)...)
	in.stop()
}

var draining = receiver[DeadLetterQueue, ports.DeadLetter]{
	method: "Drain",
	items:  "dead letters",
	open:   func(q DeadLetterQueue) source[ports.DeadLetter] { return drainOf(q.Queue()) },
	feed:   setAside,
	intact: func(t testing.TB, letter ports.DeadLetter, _ domain.Event) {
		if letter.Message.ID == "" {
			t.Errorf("dead letter %s was drained without a message id", letter.ID)
		}
	},
}

var queueDrain = append(draining.clauses(), []Clause[DeadLetterQueue]{
	// Times are compared with this machine's clock, which the consumer uses too.
	{"Drain hands over a dead letter once, with its id, reason, attempts and times", func(t testing.TB, q DeadLetterQueue) {
		event := event(1)
		in := consume(t, q.Events, failBeforeReject(2))
		publish(t, q.Events, event)
		awaitAttempts(t, in, event.ID, 2)
		in.stop()
		stopped := time.Now()
		time.Sleep(quiet) // so that the drain's time differs from the failure's
		aside := drain(t, q, accept)
		letter := aside.awaitAccepted(1, event.ID)[0]
		time.Sleep(quiet)
		checkSetAside(t, aside, event.ID, 2, "send: no such address")
		aside.checkOnce(event.ID)

		failure, handed := letter.Failure, in.got(event.ID)
		for _, at := range []struct {
			name           string
			got            time.Time
			earliest, last time.Time
		}{
			{"first", failure.FirstFailure, handed[0].began, handed[1].began.Add(-25 * time.Millisecond)}, // half of the least delay
			{"last", failure.LastFailure, handed[1].began, stopped},
		} {
			if at.got.Before(at.earliest.Truncate(time.Millisecond)) || at.got.After(at.last) {
				t.Errorf("the %s failure of dead letter %s was at %v, want %v to %v", at.name, letter.ID, at.got, at.earliest, at.last)
			}
			if at.got.Location() != time.UTC || !at.got.Equal(at.got.Truncate(time.Millisecond)) {
				t.Errorf("the %s failure of dead letter %s was at %v, want UTC to the millisecond", at.name, letter.ID, at.got)
			}
		}
	}},

	{"Drain gives two equal messages of other senders two ids", func(t testing.TB, q DeadLetterQueue) {
		consume(t, q.Events, accept)
		inject(t, q.Events, "hello", "hello")
		all := drain(t, q, accept).awaitAccepted(2)
		if all[0].ID == all[1].ID {
			t.Errorf("two messages are both dead letter %s, want two ids", all[0].ID)
		}
	}},

	{"Drain hands over the same dead letter again until its handler accepts it", func(t testing.TB, q DeadLetterQueue) {
		const failures = 2
		failing, fine := event(1), event(2)
		setAside(t, q, failing, fine)
		in := drain(t, q, func(_ context.Context, letter ports.DeadLetter, nth int) error {
			if letter.ID == string(failing.ID) && nth <= failures {
				return errors.New("the store is unreachable")
			}
			return nil
		})
		in.awaitAccepted(1, failing.ID)
		in.awaitAccepted(1, fine.ID)
		time.Sleep(quiet)
		if n := len(in.got(fine.ID)); n != 1 {
			t.Errorf("Drain handed over dead letter %s %d times, although its handler had accepted it, want once", fine.ID, n)
		}
		offers := in.got(failing.ID)
		if len(offers) != failures+1 {
			t.Errorf("Drain handed over dead letter %s %d times, want %d", failing.ID, len(offers), failures+1)
		}
		for _, again := range offers[1:] {
			checkEqual(t, "dead letter "+string(failing.ID)+" handed over again", offers[0].item, again.item)
		}
	}},

	{"Drain hands over a dead letter again when its handler panics, and continues", func(t testing.TB, q DeadLetterQueue) {
		bad, good := event(1), event(2)
		setAside(t, q, bad)
		in := drain(t, q, func(_ context.Context, letter ports.DeadLetter, nth int) error {
			if letter.ID == string(bad.ID) && nth == 1 {
				panic("keep out of order")
			}
			return nil
		})
		in.awaitBegun(bad.ID)
		setAside(t, q, good)
		in.awaitAccepted(1, bad.ID)
		in.awaitAccepted(1, good.ID)
	}},

	{"Drain hands over other dead letters while its handler refuses many", func(t testing.TB, q DeadLetterQueue) {
		failing, fine := events(1, 200), eventIDs(events(1000, 5))
		setAside(t, q, failing...)
		in := drain(t, q, func(_ context.Context, letter ports.DeadLetter, _ int) error {
			if slices.Contains(fine, domain.EventID(letter.ID)) {
				return nil
			}
			return errors.New("too large for the store")
		})
		eventually(t, "Drain hands over a dead letter", func() bool { return len(in.got()) > 0 })
		setAside(t, q, events(1000, 5)...)
		in.awaitEnded(fine...)
	}},
}...)

var queueStop = []Clause[DeadLetterQueue]{
	{"Drain uses the results of its last handlers", func(t testing.TB, q DeadLetterQueue) {
		fine, failing := event(1), event(2)
		setAside(t, q, fine, failing)
		ended := newGate(t)
		first := drain(t, q, func(_ context.Context, letter ports.DeadLetter, _ int) error {
			ended.pass()
			if letter.ID == string(failing.ID) {
				return errors.New("the store is unreachable")
			}
			return nil
		})
		first.awaitBegun(fine.ID, failing.ID)
		first.cancel()
		ended.open()
		first.stop()

		second := drain(t, q, accept)
		second.checkOnce(failing.ID)
		time.Sleep(quiet)
		second.checkOnce(failing.ID)
	}},

	{"Drain hands over nothing after its context has ended, and leaves the rest to the next drain", func(t testing.TB, q DeadLetterQueue) {
		all := events(1, 300) // more than most drains hand over at once
		setAside(t, q, all...)
		ended := newGate(t)
		first := drain(t, q, hold[ports.DeadLetter](ended))
		running := -1
		eventually(t, "Drain hands over no more dead letters while its handler accepts none", func() bool {
			before := running
			time.Sleep(quiet)
			running = len(first.got())
			return running > 0 && running == before
		})
		first.cancel()
		ended.open()
		first.stop()
		handed := first.got()
		if len(handed) > running {
			t.Errorf("Drain handed over %s and %d more after its context had ended, want nothing", handed[running].item.ID, len(handed)-running-1)
		}
		left := slices.DeleteFunc(eventIDs(all), func(id domain.EventID) bool { return len(first.got(id)) > 0 })
		second := drain(t, q, accept)
		second.awaitEnded(left...)
		time.Sleep(quiet)
		second.checkOnce(left...)
	}},
}
