package porttest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/ports"
)

func settleClauses() []Clause[DeadLetters] {
	return []Clause[DeadLetters]{
		{"Settle gives a letter any other state, and changes nothing else of it", settleEachState},
		{"SettledAt is when the letter was replayed or discarded, and not set while it waits", settleTime},
		{"SettledBy is who settled the letter last, and not set while it waits", settleBy},
		{"Settle takes a letter as List returned it", settleListed},
		{"Settle of a letter that has failed again leaves it, and says that it has changed", settleFailedAgain},
		{"Settle of a letter that another has settled leaves it, and says that it has changed", settleAfterAnother},
		{"of many that settle a letter at once one does", settleAtOnce},
		{"Settle of a letter that is not kept finds none", settleUnknown},
		{"Settle as what is no state is an error, and settles nothing", settleNoState},
		{"Settle with an ended context settles nothing", settleEnded},
	}
}

// transitions calls do for each way from one state to another, with a letter
// that is in the first.
func transitions(t testing.TB, d DeadLetters, do func(letter ports.DeadLetter, to ports.DeadLetterState)) {
	t.Helper()
	for i, from := range letterStates {
		for j, to := range letterStates {
			if from != to {
				do(putInto(t, d.Letters, nthLetter(10*i+j), from), to)
			}
		}
	}
}

func checkChanged(t testing.TB, store ports.DeadLetters, letter ports.DeadLetter, state ports.DeadLetterState) {
	t.Helper()
	err := store.Settle(bounded(t), letter, state, settler)
	checkError(t, "settle a letter that has changed", err, ports.ErrChanged, letter.ID)
}

func settleEachState(t testing.TB, d DeadLetters) {
	transitions(t, d, func(letter ports.DeadLetter, to ports.DeadLetterState) {
		got := settle(t, d.Other, letter, to)
		want := settledAs(letter, to, got.SettledAt)
		if diff := cmp.Diff(want, got, lettersEqual); diff != "" {
			t.Errorf("%s letter settled as %s (-want +got):\n%s", letter.State, to, diff)
		}
		checkLetter(t, d, got)
	})
}

func settleTime(t testing.TB, d DeadLetters) {
	const apart = time.Minute // may the store's clock and this one be
	transitions(t, d, func(letter ports.DeadLetter, to ports.DeadLetterState) {
		begin := time.Now()
		at := settle(t, d.Other, letter, to).SettledAt
		switch {
		case to == ports.Waiting:
			if !at.IsZero() {
				t.Errorf("%s letter that waits again is settled at %v", letter.State, at)
			}
		case at.Before(begin.Add(-apart)) || at.After(time.Now().Add(apart)):
			t.Errorf("%s letter settled as %s at %v, want about %v", letter.State, to, at, begin)
		case at != at.UTC().Truncate(time.Millisecond):
			t.Errorf("%s letter settled as %s at %v, want UTC to the millisecond", letter.State, to, at)
		}
	})
}

func settleBy(t testing.TB, d DeadLetters) {
	longest := strings.Repeat("\U0001F6D2", 128)
	transitions(t, d, func(letter ports.DeadLetter, to ports.DeadLetterState) {
		for _, by := range []string{"u", "$set", "a.b ä\u0308@host-1.example", longest} {
			if err := d.Other.Settle(bounded(t), letter, to, by); err != nil {
				t.Fatalf("settle %s dead letter as %s: %v", letter.State, to, err)
			}
			settled := getLetter(t, d.Letters, letter.ID)
			want := settledAs(letter, to, settled.SettledAt)
			if to != ports.Waiting {
				want.SettledBy = by
			}
			checkLetter(t, d, want)
			for _, listed := range listLetters(t, d.Letters, ports.DeadLetterQuery{State: to, Limit: 10}, func() {}) {
				if listed.ID == letter.ID {
					checkListed(t, want, listed)
				}
			}
			letter = settle(t, d.Letters, settled, letter.State)
		}
	})
}

func settleListed(t testing.TB, d DeadLetters) {
	transitions(t, d, func(letter ports.DeadLetter, to ports.DeadLetterState) {
		for _, listed := range listLetters(t, d.Letters, ports.DeadLetterQuery{State: letter.State, Limit: 10}, func() {}) {
			if listed.ID != letter.ID {
				continue
			}
			got := settle(t, d.Letters, listed, to)
			checkLetter(t, d, settledAs(letter, to, got.SettledAt))
			return
		}
		t.Errorf("list of what is %s: letter %s is not there", letter.State, letter.ID)
	})
}

func settleFailedAgain(t testing.TB, d DeadLetters) {
	transitions(t, d, func(letter ports.DeadLetter, to ports.DeadLetterState) {
		for _, failure := range []ports.Failure{nthFailure(1000), nthFailure(-1000)} { // the latest, and one that comes late
			read := getLetter(t, d.Letters, letter.ID)
			putLetters(t, d.Other, failing(letter, failure))
			now := getLetter(t, d.Letters, letter.ID)
			checkChanged(t, d.Letters, read, to)
			checkLetter(t, d, now)
		}
	})
}

func settleAfterAnother(t testing.TB, d DeadLetters) {
	transitions(t, d, func(read ports.DeadLetter, to ports.DeadLetterState) {
		now := settle(t, d.Other, read, to)
		for _, state := range letterStates {
			checkChanged(t, d.Letters, read, state)
			checkLetter(t, d, now)
		}
	})
	// One that was settled, waited, and was settled as before is another's too.
	read := putInto(t, d.Letters, nthLetter(100), ports.Discarded)
	now := read
	eventually(t, "settling again takes a later time", func() bool {
		now = settle(t, d.Other, settle(t, d.Other, now, ports.Waiting), ports.Discarded)
		return now.SettledAt != read.SettledAt
	})
	checkChanged(t, d.Letters, read, ports.Waiting)
	checkLetter(t, d, now)
}

func settleAtOnce(t testing.TB, d DeadLetters) {
	const callers = 16
	transitions(t, d, func(letter ports.DeadLetter, to ports.DeadLetterState) {
		ctx := bounded(t)
		errs := make([]error, callers)
		together(callers, func(i int) {
			store := d.Letters
			if i%2 == 0 {
				store = d.Other
			}
			errs[i] = store.Settle(ctx, letter, to, settler)
		})
		settled := 0
		for _, err := range errs {
			if err == nil {
				settled++
			} else if !errors.Is(err, ports.ErrChanged) {
				t.Errorf("settle beside others: error %v, want none or one that wraps %q", err, ports.ErrChanged)
			}
		}
		if settled != 1 {
			t.Errorf("%d of %d callers settled a %s letter as %s, want one", settled, callers, letter.State, to)
		}
		checkLetter(t, d, settledAs(letter, to, getLetter(t, d.Letters, letter.ID).SettledAt))
	})
}

func settleUnknown(t testing.TB, d DeadLetters) {
	kept := putInto(t, d.Letters, nthLetter(1), ports.Waiting)
	unknown := kept
	unknown.ID = nthLetter(2).ID
	err := d.Letters.Settle(bounded(t), unknown, ports.Replayed, settler)
	checkError(t, "settle an unknown letter", err, ports.ErrNotFound, unknown.ID)
	checkNoLetter(t, d.Letters, unknown.ID)
	checkLetters(t, d, ports.DeadLetterQuery{Limit: 10}, kept)
}

func settleNoState(t testing.TB, d DeadLetters) {
	for i, from := range letterStates {
		kept := putInto(t, d.Letters, nthLetter(i), from)
		for _, state := range []ports.DeadLetterState{"", "Waiting", "waiting ", "deleted", "$set"} {
			if err := d.Letters.Settle(bounded(t), kept, state, settler); err == nil || errors.Is(err, ports.ErrUnavailable) {
				t.Errorf("settle %s letter as %q: error %v, want one that is no outage", from, state, err)
			}
			checkLetter(t, d, kept)
		}
	}
}

func settleEnded(t testing.TB, d DeadLetters) {
	transitions(t, d, func(letter ports.DeadLetter, to ports.DeadLetterState) {
		checkEnded(t, "Settle", func(ctx context.Context) error { return d.Letters.Settle(ctx, letter, to, settler) })
		checkLetter(t, d, letter)
	})
}
