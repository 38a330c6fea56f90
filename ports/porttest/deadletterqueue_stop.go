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

var queueStop = []Clause[DeadLetterQueue]{
	{"Drain counts what its last handlers return", func(t testing.TB, q DeadLetterQueue) {
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

	{"Drain hands over nothing after its context has ended, and leaves it to the next drain", func(t testing.TB, q DeadLetterQueue) {
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
