package porttest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/orderflow/ports"
)

// endRetention settles a waiting letter, and waits until the store forgets it.
func endRetention(t testing.TB, d DeadLetters, letter ports.DeadLetterRecord, state ports.DeadLetterState) {
	t.Helper()
	settle(t, d.Forgetful, letter, state)
	eventually(t, "settled dead letter "+letter.ID+" is forgotten", func() bool {
		_, err := d.Forgetful.Get(bounded(t), letter.ID)
		if err != nil && !errors.Is(err, ports.ErrNotFound) {
			t.Fatalf("get dead letter %s: %v", letter.ID, err)
		}
		return err != nil
	})
}

// missing returns a fault if Get or List does not have the letter in the state.
func missing(t testing.TB, d DeadLetters, id string, state ports.DeadLetterState) (fault string) {
	t.Helper()
	letter, err := d.Forgetful.Get(bounded(t), id)
	if err != nil {
		return "get dead letter, want it kept: " + err.Error()
	}
	if _, ok := findListed(t, d.Forgetful, ports.DeadLetterQuery{State: state, Limit: ports.MaxListLimit}, id); !ok || letter.State != state {
		return fmt.Sprintf("dead letter %s is %s and listed as %s: %t, want it to be %[3]s and listed", id, letter.State, state, ok)
	}
	return ""
}

var deadLettersForget = []Clause[DeadLetters]{
	{"a settled letter is kept for the retention", func(t testing.TB, d DeadLetters) {
		withinLease(t, d.Retention, func(round int) (at time.Time, fault string) {
			letter := putInto(t, d.Forgetful, nthLetter(round), ports.Waiting)
			at = time.Now()
			settle(t, d.Forgetful, letter, ports.Discarded)
			return at, watch(at, d.Retention, func() string { return missing(t, d, letter.ID, ports.Discarded) })
		})
	}},

	{"the retention counts from the latest Settle", func(t testing.TB, d DeadLetters) {
		withinLease(t, d.Retention, func(round int) (at time.Time, fault string) {
			letter := putInto(t, d.Forgetful, nthLetter(round), ports.Waiting)
			first := time.Now()
			settle(t, d.Forgetful, letter, ports.Replayed)
			letter, err := d.Forgetful.Get(bounded(t), letter.ID)
			if err != nil {
				return first, "get dead letter, want it kept: " + err.Error()
			}
			time.Sleep(d.Retention * 6 / 10)
			at = time.Now()
			if err := d.Forgetful.Settle(bounded(t), letter, ports.Discarded, settler); err != nil {
				return first, "settle dead letter, want it kept: " + err.Error()
			}
			time.Sleep(time.Until(first.Add(d.Retention * 12 / 10)))
			return at, missing(t, d, letter.ID, ports.Discarded)
		})
	}},

	{"Get, List and Settle find no letter whose retention has ended", func(t testing.TB, d DeadLetters) {
		waits := putInto(t, d.Forgetful, nthLetter(0), ports.Waiting)
		for n, state := range []ports.DeadLetterState{ports.Replayed, ports.Discarded} {
			letter := putInto(t, d.Forgetful, nthLetter(n+1), ports.Waiting)
			endRetention(t, d, letter, state)
			checkNoLetter(t, d.Forgetful, letter.ID)
			for _, query := range []ports.DeadLetterQuery{{Limit: 10}, {State: state, Limit: 10}, {Reason: letter.Failures[0].Reason, Limit: 10}} {
				if _, ok := findListed(t, d.Forgetful, query, letter.ID); ok {
					t.Errorf("list %+v has dead letter %s, want it forgotten", query, letter.ID)
				}
			}
			for _, again := range letterStates {
				err := d.Forgetful.Settle(bounded(t), letter, again, settler)
				checkError(t, "settle forgotten dead letter", err, ports.ErrNotFound, letter.ID)
			}
			checkNoLetter(t, d.Forgetful, letter.ID)
		}
		if fault := missing(t, d, waits.ID, ports.Waiting); fault != "" {
			t.Errorf("waiting dead letter: %s", fault)
		}
	}},

	{"Put of a forgotten letter stores a new record", func(t testing.TB, d DeadLetters) {
		for n, again := range []ports.DeadLetter{nthLetter(0), nthLetter(100)} { // the same failure, and another
			letter := nthLetter(n)
			again.ID = letter.ID
			put(t, d.Forgetful, letter)
			endRetention(t, d, putInto(t, d.Forgetful, failing(letter, nthFailure(50)), ports.Waiting), ports.Discarded)
			put(t, d.Forgetful, again)
			checkEqual(t, "dead letter "+letter.ID+" put after it was forgotten", putAs(again), getLetter(t, d.Forgetful, letter.ID))
		}
	}},

	{"a letter that waits again is not forgotten", func(t testing.TB, d DeadLetters) {
		for way, again := range map[string]func(letter ports.DeadLetterRecord) error{
			"restored": func(letter ports.DeadLetterRecord) error {
				return d.Forgetful.Settle(bounded(t), letter, ports.Waiting, settler)
			},
			"failed again": func(letter ports.DeadLetterRecord) error {
				return d.Forgetful.Put(bounded(t), failingAgain(letter, nthFailure(1000)))
			},
		} {
			var letter ports.DeadLetterRecord
			withinLease(t, d.Retention, func(round int) (at time.Time, fault string) {
				waits := nthLetter(round)
				waits.ID += way
				letter = putInto(t, d.Forgetful, waits, ports.Waiting)
				at = time.Now()
				settle(t, d.Forgetful, letter, ports.Discarded)
				letter, err := d.Forgetful.Get(bounded(t), letter.ID)
				if err == nil {
					err = again(letter)
				}
				if err != nil {
					fault = fmt.Sprintf("dead letter %s %s: %v", letter.ID, way, err)
				}
				return at, fault
			})
			waitOut(d.Retention)
			if fault := missing(t, d, letter.ID, ports.Waiting); fault != "" {
				t.Errorf("settled letter that was %s: %s", way, fault)
			}
		}
	}},
}
