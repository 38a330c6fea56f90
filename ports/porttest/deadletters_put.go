package porttest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/orderflow/ports"
)

func putLetterClauses() []Clause[DeadLetters] {
	return []Clause[DeadLetters]{
		{"Put keeps a letter, and Get returns it with every field as it was put", putKeepsEveryField},
		{"Put of a failure that the letter has already changes nothing, whatever was decided", putRepeated},
		{"Put of another failure adds it, and leaves the message as it was", putAdds},
		{"Put of another failure has the letter wait again, whatever was decided", putWaitsAgain},
		{"the latest of a letter's failures stands last, in whatever order they are put", putOutOfOrder},
		{"the latest MaxFailures of a letter's failures stay", putMany},
		{"Put by many at once keeps one letter with every failure", putAtOnce},
		{"Put keeps the letter although its context ends afterwards", putOutlivesContext},
		{"Put with an ended context changes nothing", putEnded},
		{"Put refuses for good a letter that does not have one failure", putWithoutFailure},
		{"Get finds no letter under an id that was not put", getUnknownLetter},
		{"Get and List of letters with an ended context say so", readLettersEnded},
		{"Put, Get and List leave the letters to the caller", lettersShareNothing},
		{"methods of the dead letters may be called from several goroutines at once", lettersAtOnce},
	}
}

func putKeepsEveryField(t testing.TB, d DeadLetters) {
	letters := hardLetters()
	for _, letter := range letters {
		putLetters(t, d.Letters, letter)
		checkLetter(t, d, putAs(letter))
	}
	for _, letter := range letters {
		checkLetter(t, d, putAs(letter))
	}
}

func putRepeated(t testing.TB, d DeadLetters) {
	for n, state := range letterStates {
		letter := nthLetter(n)
		later := nthFailure(n + 10)
		putLetters(t, d.Letters, letter)
		kept := putInto(t, d.Letters, failing(letter, later), state)

		otherWords := later // one and the same, for its LastFailure is
		otherWords.Reason, otherWords.Attempts, otherWords.FirstFailure = "other", 7, epoch
		for _, known := range []ports.Failure{letter.Failures[0], later, otherWords} {
			putLetters(t, d.Other, failing(letter, known))
			checkLetter(t, d, kept)
		}
	}
}

func putAdds(t testing.TB, d DeadLetters) {
	letter := nthLetter(1)
	putLetters(t, d.Letters, letter)
	want := putAs(letter)
	for n := 2; n < 5; n++ {
		again := nthLetter(n)
		again.ID = letter.ID
		putLetters(t, d.Other, again)
		want.Failures = append(want.Failures, again.Failures[0])
		checkLetter(t, d, want)
	}
	checkLetters(t, d, ports.DeadLetterQuery{Limit: 10}, want)
}

func putWaitsAgain(t testing.TB, d DeadLetters) {
	for n, state := range letterStates {
		letter := nthLetter(n)
		want := putInto(t, d.Letters, letter, state)
		putLetters(t, d.Other, failing(letter, nthFailure(n+10)))
		want.Failures = append(want.Failures, nthFailure(n+10))
		want = settledAs(want, ports.Waiting, time.Time{})
		checkLetter(t, d, want)
		checkLetters(t, d, ports.DeadLetterQuery{State: ports.Waiting, Reason: nthFailure(n + 10).Reason, Limit: 1}, want)
	}
}

func putOutOfOrder(t testing.TB, d DeadLetters) {
	letter := nthLetter(1)
	want := putAs(letter)
	want.Failures = nil
	for n := range 7 {
		failure := nthFailure(n)
		failure.FirstFailure = want.Since
		want.Failures = append(want.Failures, failure)
	}
	for _, n := range []int{3, 5, 0, 6, 4, 1, 2} {
		putLetters(t, d.Letters, failing(letter, want.Failures[n]))
	}
	checkLetter(t, d, want)
	checkLetters(t, d, ports.DeadLetterQuery{Reason: want.Failures[6].Reason, Limit: 1}, want)
	checkLetters(t, d, ports.DeadLetterQuery{Reason: want.Failures[2].Reason, Limit: 1})
}

func putMany(t testing.TB, d DeadLetters) {
	const more = 3
	letter := nthLetter(0)
	want := putAs(letter)
	for n := range ports.MaxFailures + more {
		putLetters(t, d.Letters, failing(letter, nthFailure(n)))
		if n > 0 {
			want.Failures = append(want.Failures, nthFailure(n))
		}
		if n == ports.MaxFailures-1 {
			checkLetter(t, d, want)
		}
	}
	want.Failures = want.Failures[more:]
	checkLetter(t, d, want)
}

func putAtOnce(t testing.TB, d DeadLetters) {
	const rounds, callers, failures = 3, 32, 16
	var all []ports.DeadLetter
	for round := range rounds {
		letter := nthLetter(round)
		want := putAs(letter)
		want.Failures = nil
		for n := range failures {
			failure := nthFailure(n)
			failure.FirstFailure = want.Since
			want.Failures = append(want.Failures, failure)
		}
		ctx := bounded(t)
		together(callers, func(i int) {
			store := d.Letters
			if i%2 == 0 {
				store = d.Other
			}
			if err := store.Put(ctx, failing(letter, want.Failures[i*7%failures])); err != nil {
				t.Errorf("put beside others: %v", err)
			}
		})
		checkLetter(t, d, want)
		all = append(all, want)
		checkLetters(t, d, ports.DeadLetterQuery{Limit: 10}, all...)
	}
}

func putOutlivesContext(t testing.TB, d DeadLetters) {
	ctx, cancel := context.WithCancel(bounded(t))
	err := d.Letters.Put(ctx, nthLetter(1))
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(quiet)
	checkLetter(t, d, putAs(nthLetter(1)))
}

func putEnded(t testing.TB, d DeadLetters) {
	kept := putInto(t, d.Letters, nthLetter(1), ports.Replayed)
	for _, letter := range []ports.DeadLetter{nthLetter(2), failing(nthLetter(1), nthFailure(10))} {
		checkEnded(t, "Put", func(ctx context.Context) error { return d.Letters.Put(ctx, letter) })
	}
	checkNoLetter(t, d.Other, nthLetter(2).ID)
	checkLetter(t, d, kept)
	checkLetters(t, d, ports.DeadLetterQuery{Limit: 10}, kept)
}

func putWithoutFailure(t testing.TB, d DeadLetters) {
	none, two := nthLetter(1), nthLetter(2)
	none.Failures = nil
	two.Failures = append(two.Failures, nthFailure(3))
	for _, letter := range []ports.DeadLetter{{}, none, two} {
		if err := d.Letters.Put(bounded(t), letter); !ports.IsPermanent(err) || errors.Is(err, ports.ErrUnavailable) {
			t.Errorf("put a letter with %d failures: error %v, want a permanent one", len(letter.Failures), err)
		}
	}
	checkLetters(t, d, ports.DeadLetterQuery{Limit: 10})
}

func getUnknownLetter(t testing.TB, d DeadLetters) {
	checkNoLetter(t, d.Letters, nthLetter(1).ID)
	putLetters(t, d.Letters, nthLetter(1))
	for _, id := range []string{nthLetter(2).ID, nthLetter(1).ID + " ", nthLetter(1).ID[:8], "$ne", ".*"} {
		checkNoLetter(t, d.Letters, id)
	}
}

func readLettersEnded(t testing.TB, d DeadLetters) {
	putLetters(t, d.Letters, nthLetter(1))
	checkEnded(t, "Get", func(ctx context.Context) error {
		_, err := d.Letters.Get(ctx, nthLetter(1).ID)
		return err
	})
	checkEnded(t, "List", func(ctx context.Context) error {
		_, err := d.Letters.List(ctx, ports.DeadLetterQuery{Limit: 1})
		return err
	})
}

func lettersShareNothing(t testing.TB, d DeadLetters) {
	want := putAs(nthLetter(1))
	spoil := func(letter ports.DeadLetter) {
		for i := range letter.Body {
			letter.Body[i] = 'x'
		}
		for name := range letter.Headers {
			letter.Headers[name] = "changed by the caller"
		}
		for i := range letter.Failures {
			letter.Failures[i].Reason = "changed by the caller"
		}
	}

	mine := nthLetter(1)
	putLetters(t, d.Letters, mine)
	spoil(mine)
	checkLetter(t, d, want)

	again := failing(nthLetter(1), nthFailure(2))
	putLetters(t, d.Letters, again)
	spoil(again)
	want.Failures = append(want.Failures, nthFailure(2))
	checkLetter(t, d, want)

	for range 2 {
		spoil(getLetter(t, d.Letters, want.ID))
		checkLetter(t, d, want)
		for _, listed := range listLetters(t, d.Letters, ports.DeadLetterQuery{Limit: 1}, func() {}) {
			spoil(listed)
		}
		checkLetter(t, d, want)
		checkLetters(t, d, ports.DeadLetterQuery{Limit: 1}, want)
	}
}

func lettersAtOnce(t testing.TB, d DeadLetters) {
	const callers, each = 8, 5
	ctx := bounded(t)
	together(callers, func(c int) {
		store := d.Letters
		if c%2 == 0 {
			store = d.Other
		}
		for i := range each {
			mine := nthLetter(c*each + i)
			_, list := store.List(ctx, ports.DeadLetterQuery{Limit: 10})
			put := store.Put(ctx, mine)
			kept, get := store.Get(ctx, mine.ID)
			settled := store.Settle(ctx, kept, ports.Discarded, settler)
			again := store.Put(ctx, failing(mine, nthFailure(1000)))
			if err := errors.Join(list, put, get, settled, again); err != nil {
				t.Error(fmt.Errorf("beside other calls: %w", err))
				return
			}
		}
	})
	var want []ports.DeadLetter
	for n := range callers * each {
		letter := putAs(nthLetter(n))
		letter.Failures = append(letter.Failures, nthFailure(1000))
		want = append(want, letter)
	}
	checkLetters(t, d, ports.DeadLetterQuery{Limit: 10}, want...)
}
