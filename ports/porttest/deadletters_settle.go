package porttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/ports"
)

// transitions calls do for each pair of states, with a letter that has the first
// state.
func transitions(t testing.TB, d DeadLetters, do func(letter ports.DeadLetterRecord, to ports.DeadLetterState)) {
	t.Helper()
	for i, from := range letterStates {
		for j, to := range letterStates {
			if from != to {
				do(putInto(t, d.Letters, nthLetter(10*i+j), from), to)
			}
		}
	}
}

func checkChanged(t testing.TB, d DeadLetters, read ports.DeadLetterRecord, state ports.DeadLetterState) {
	t.Helper()
	now := getLetter(t, d.Letters, read.ID)
	checkError(t, "settle a changed dead letter", d.Letters.Settle(bounded(t), read, state, settler), ports.ErrChanged, read.ID)
	checkLetter(t, d, now)
}

var deadLettersSettle = []Clause[DeadLetters]{
	{"Settle gives a letter any other state, and changes nothing else", func(t testing.TB, d DeadLetters) {
		transitions(t, d, func(letter ports.DeadLetterRecord, to ports.DeadLetterState) {
			got := settled(t, d.Other, letter, to)
			checkEqual(t, fmt.Sprintf("%s dead letter %s settled as %s", letter.State, letter.ID, to), settledAs(letter, to, got.SettledAt), got)
			checkLetter(t, d, got)
		})
	}},

	{"SettledAt is the time of the last Settle, and zero while the letter waits", func(t testing.TB, d DeadLetters) {
		const apart = time.Minute // how far the store's clock may be from this one
		transitions(t, d, func(letter ports.DeadLetterRecord, to ports.DeadLetterState) {
			begin := time.Now()
			at := settled(t, d.Other, letter, to).SettledAt
			want := ""
			switch {
			case to == ports.Waiting:
				if !at.IsZero() {
					want = "zero"
				}
			case at.Before(begin.Add(-apart)) || at.After(time.Now().Add(apart)):
				want = "about " + begin.String()
			case at != at.UTC().Truncate(time.Millisecond):
				want = "UTC to the millisecond"
			}
			if want != "" {
				t.Errorf("SettledAt of %s dead letter %s settled as %s is %v, want %s", letter.State, letter.ID, to, at, want)
			}
		})
	}},

	{"SettledBy is the text that the last Settle got, and empty while the letter waits", func(t testing.TB, d DeadLetters) {
		longest := strings.Repeat("\U0001F6D2", 128)
		transitions(t, d, func(letter ports.DeadLetterRecord, to ports.DeadLetterState) {
			for _, by := range []string{"u", "$set", "a.b ä\u0308@host-1.example", longest} {
				must(t, fmt.Sprintf("settle %s dead letter %s as %s", letter.State, letter.ID, to), d.Other.Settle(bounded(t), letter, to, by))
				now := getLetter(t, d.Letters, letter.ID)
				want := settledAs(letter, to, now.SettledAt)
				if to != ports.Waiting {
					want.SettledBy = by
				}
				checkLetter(t, d, want)
				checkListed(t, d.Letters, ports.DeadLetterQuery{State: to, Limit: 10}, want)
				letter = settled(t, d.Letters, now, letter.State)
			}
		})
	}},

	{"Settle takes a letter as List returned it", func(t testing.TB, d DeadLetters) {
		transitions(t, d, func(letter ports.DeadLetterRecord, to ports.DeadLetterState) {
			listed, ok := findListed(t, d.Letters, ports.DeadLetterQuery{State: letter.State, Limit: 10}, letter.ID)
			if !ok {
				t.Fatalf("list of the state %s does not have dead letter %s, want it to", letter.State, letter.ID)
			}
			got := settled(t, d.Letters, listed, to)
			checkLetter(t, d, settledAs(letter, to, got.SettledAt))
		})
	}},

	{"Settle leaves a letter that has failed again, and returns ErrChanged", func(t testing.TB, d DeadLetters) {
		transitions(t, d, func(letter ports.DeadLetterRecord, to ports.DeadLetterState) {
			for _, failure := range []ports.Failure{nthFailure(1000), nthFailure(-1000)} { // the latest, and one that is put late
				read := getLetter(t, d.Letters, letter.ID)
				put(t, d.Other, failingAgain(letter, failure))
				checkChanged(t, d, read, to)
			}
		})
	}},

	{"Settle leaves a letter that another caller has settled, and returns ErrChanged", func(t testing.TB, d DeadLetters) {
		transitions(t, d, func(read ports.DeadLetterRecord, to ports.DeadLetterState) {
			settle(t, d.Other, read, to)
			for _, state := range letterStates {
				checkChanged(t, d, read, state)
			}
		})
		// A letter that was settled, waited, and was settled as before has changed too.
		read := putInto(t, d.Letters, nthLetter(100), ports.Discarded)
		now := read
		eventually(t, "settling dead letter "+read.ID+" again takes a later time", func() bool {
			now = settled(t, d.Other, settled(t, d.Other, now, ports.Waiting), ports.Discarded)
			return now.SettledAt != read.SettledAt
		})
		checkChanged(t, d, read, ports.Waiting)
	}},

	{"Settle by many callers succeeds for one of them", func(t testing.TB, d DeadLetters) {
		transitions(t, d, func(letter ports.DeadLetterRecord, to ports.DeadLetterState) {
			what := fmt.Sprintf("settle %s dead letter %s as %s", letter.State, letter.ID, to)
			_, fault := onlyOne(t, what, 16, ports.ErrChanged, func(ctx context.Context, i int) error {
				return either(i, d.Letters, d.Other).Settle(ctx, letter, to, settler)
			})
			if fault != "" {
				t.Fatal(fault)
			}
			checkLetter(t, d, settledAs(letter, to, getLetter(t, d.Letters, letter.ID).SettledAt))
		})
	}},

	{"Settle of an unknown letter returns ErrNotFound", func(t testing.TB, d DeadLetters) {
		kept := putInto(t, d.Letters, nthLetter(1), ports.Waiting)
		unknown := kept
		unknown.ID = nthLetter(2).ID
		err := d.Letters.Settle(bounded(t), unknown, ports.Replayed, settler)
		checkError(t, "settle unknown dead letter", err, ports.ErrNotFound, unknown.ID)
		checkNoLetter(t, d.Letters, unknown.ID)
		checkLetters(t, d, ports.DeadLetterQuery{Limit: 10}, kept)
	}},

	{"Settle refuses an unknown state, and changes nothing", func(t testing.TB, d DeadLetters) {
		for i, from := range letterStates {
			kept := putInto(t, d.Letters, nthLetter(i), from)
			for _, state := range []ports.DeadLetterState{"", "Waiting", "waiting ", "deleted", "$set"} {
				if err := d.Letters.Settle(bounded(t), kept, state, settler); err == nil || errors.Is(err, ports.ErrUnavailable) {
					t.Errorf("settle %s dead letter %s as %q: error %v, want an error without ErrUnavailable", from, kept.ID, state, err)
				}
				checkLetter(t, d, kept)
			}
		}
	}},

	{"Settle with an ended context settles nothing", func(t testing.TB, d DeadLetters) {
		transitions(t, d, func(letter ports.DeadLetterRecord, to ports.DeadLetterState) {
			checkEnded(t, "Settle", func(ctx context.Context) error { return d.Letters.Settle(ctx, letter, to, settler) })
			checkLetter(t, d, letter)
		})
	}},
}
