package porttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/ports"
)

func forgetClauses() []Clause[DeadLetters] {
	return []Clause[DeadLetters]{
		{"a letter that was settled is kept for the retention", settledStays},
		{"the retention counts from the latest settling", settledStaysAnew},
		{"Get, List and Settle find no letter that was settled longer ago than the retention", settledIsForgotten},
		{"Put of a letter that was forgotten begins anew", forgottenBeginsAnew},
		{"a letter that waits again is not forgotten", restoredStays},
	}
}

// ended settles the letter, which waits, and waits until it is forgotten.
func ended(t testing.TB, d DeadLetters, letter ports.DeadLetter, state ports.DeadLetterState) {
	t.Helper()
	if err := d.Forgetful.Settle(bounded(t), letter, state, settler); err != nil {
		t.Fatalf("settle dead letter: %v", err)
	}
	eventually(t, "a letter that was settled is forgotten", func() bool {
		_, err := d.Forgetful.Get(bounded(t), letter.ID)
		if err != nil && !errors.Is(err, ports.ErrNotFound) {
			t.Fatalf("get dead letter: %v", err)
		}
		return err != nil
	})
}

// missing returns the fault if Get or List does not have the letter in that
// state.
func missing(t testing.TB, d DeadLetters, id string, state ports.DeadLetterState) (fault string) {
	t.Helper()
	letter, err := d.Forgetful.Get(bounded(t), id)
	if err != nil {
		return "get dead letter: " + err.Error()
	}
	page, err := d.Forgetful.List(bounded(t), ports.DeadLetterQuery{State: state, Limit: ports.MaxListLimit})
	if err != nil {
		return "list dead letters: " + err.Error()
	}
	for _, listed := range page.Letters {
		if listed.ID == id && letter.State == state {
			return ""
		}
	}
	return "a dead letter that is " + string(letter.State) + " is not listed, or not as " + string(state)
}

func settledStays(t testing.TB, d DeadLetters) {
	withinLease(t, d.Retention, func(round int) (settled time.Time, fault string) {
		letter := putInto(t, d.Forgetful, nthLetter(round), ports.Waiting)
		settled = time.Now()
		if err := d.Forgetful.Settle(bounded(t), letter, ports.Discarded, settler); err != nil {
			t.Fatalf("settle dead letter: %v", err)
		}
		for asked := false; !asked || time.Since(settled) < d.Retention/2; asked = true {
			if fault := missing(t, d, letter.ID, ports.Discarded); fault != "" {
				return settled, fault
			}
			time.Sleep(d.Retention / 12)
		}
		return settled, ""
	})
}

func settledStaysAnew(t testing.TB, d DeadLetters) {
	withinLease(t, d.Retention, func(round int) (settled time.Time, fault string) {
		letter := putInto(t, d.Forgetful, nthLetter(round), ports.Waiting)
		first := time.Now()
		if err := d.Forgetful.Settle(bounded(t), letter, ports.Replayed, settler); err != nil {
			t.Fatalf("settle dead letter: %v", err)
		}
		letter, err := d.Forgetful.Get(bounded(t), letter.ID)
		if err != nil {
			return first, "get dead letter: " + err.Error()
		}
		time.Sleep(d.Retention * 6 / 10)
		settled = time.Now()
		if err := d.Forgetful.Settle(bounded(t), letter, ports.Discarded, settler); err != nil {
			return first, "settle dead letter: " + err.Error()
		}
		time.Sleep(time.Until(first.Add(d.Retention * 12 / 10)))
		return settled, missing(t, d, letter.ID, ports.Discarded)
	})
}

func settledIsForgotten(t testing.TB, d DeadLetters) {
	waits := putInto(t, d.Forgetful, nthLetter(0), ports.Waiting)
	for n, state := range []ports.DeadLetterState{ports.Replayed, ports.Discarded} {
		letter := putInto(t, d.Forgetful, nthLetter(n+1), ports.Waiting)
		ended(t, d, letter, state)
		checkNoLetter(t, d.Forgetful, letter.ID)
		for _, query := range []ports.DeadLetterQuery{{}, {State: state}, {Reason: letter.Failures[0].Reason}} {
			query.Limit = 10
			for _, listed := range listLetters(t, d.Forgetful, query, func() {}) {
				if listed.ID == letter.ID {
					t.Errorf("list %+v has a letter that was forgotten", query)
				}
			}
		}
		for _, again := range letterStates {
			err := d.Forgetful.Settle(bounded(t), letter, again, settler)
			checkError(t, "settle a letter that was forgotten", err, ports.ErrNotFound, letter.ID)
		}
		checkNoLetter(t, d.Forgetful, letter.ID)
	}
	if fault := missing(t, d, waits.ID, ports.Waiting); fault != "" {
		t.Errorf("a letter that waits: %s", fault)
	}
}

func forgottenBeginsAnew(t testing.TB, d DeadLetters) {
	for n, again := range []ports.DeadLetter{nthLetter(0), nthLetter(100)} { // the same failure, and another
		letter := nthLetter(n)
		again.ID = letter.ID
		putLetters(t, d.Forgetful, letter)
		ended(t, d, putInto(t, d.Forgetful, failing(letter, nthFailure(50)), ports.Waiting), ports.Discarded)
		putLetters(t, d.Forgetful, again)
		if diff := cmp.Diff(putAs(again), getLetter(t, d.Forgetful, letter.ID), lettersEqual); diff != "" {
			t.Errorf("letter put after it was forgotten (-want +got):\n%s", diff)
		}
	}
}

func restoredStays(t testing.TB, d DeadLetters) {
	ways := map[string]func(ctx context.Context, letter ports.DeadLetter) error{
		"restored": func(ctx context.Context, letter ports.DeadLetter) error {
			return d.Forgetful.Settle(ctx, letter, ports.Waiting, settler)
		},
		"failed again": func(ctx context.Context, letter ports.DeadLetter) error {
			return d.Forgetful.Put(ctx, failing(letter, nthFailure(1000)))
		},
	}
	for way, again := range ways {
		var id string
		withinLease(t, d.Retention, func(round int) (settled time.Time, fault string) {
			letter := nthLetter(round)
			letter.ID += way
			id = letter.ID
			letter = putInto(t, d.Forgetful, letter, ports.Waiting)
			settled = time.Now()
			if err := d.Forgetful.Settle(bounded(t), letter, ports.Discarded, settler); err != nil {
				t.Fatalf("settle dead letter: %v", err)
			}
			letter, err := d.Forgetful.Get(bounded(t), letter.ID)
			if err == nil {
				err = again(bounded(t), letter)
			}
			if err != nil {
				return settled, way + ": " + err.Error()
			}
			return settled, ""
		})
		waitOut(d.Retention)
		if fault := missing(t, d, id, ports.Waiting); fault != "" {
			t.Errorf("a letter that was settled, and %s: %s", way, fault)
		}
	}
}
