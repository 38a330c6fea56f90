package porttest

import (
	"context"
	"testing"
	"time"

	"example.com/orderflow/ports"
)

// withFailures returns the letter's record with its failures from number first to
// number last.
func withFailures(letter ports.DeadLetter, first, last int) ports.DeadLetterRecord {
	record := putAs(letter)
	record.Failures = nil
	for n := first; n <= last; n++ {
		failure := nthFailure(n)
		failure.FirstFailure = record.Since
		record.Failures = append(record.Failures, failure)
	}
	return record
}

var deadLettersPut = []Clause[DeadLetters]{
	{"Put keeps a letter, and Get returns it with every field as it was put", func(t testing.TB, d DeadLetters) {
		for _, letter := range hardLetters() {
			put(t, d.Letters, letter)
			checkLetter(t, d, putAs(letter))
		}
		for _, letter := range hardLetters() {
			checkLetter(t, d, putAs(letter))
		}
	}},

	{"Put of a known failure changes nothing, in any state", func(t testing.TB, d DeadLetters) {
		for n, state := range letterStates {
			letter := nthLetter(n)
			later := nthFailure(n + 10)
			put(t, d.Letters, letter)
			kept := putInto(t, d.Letters, failing(letter, later), state)

			otherWords := later // the same failure, because its LastFailure is the same
			otherWords.Reason, otherWords.Attempts, otherWords.FirstFailure = "other", 7, epoch
			for _, known := range []ports.Failure{letter.Failure, later, otherWords} {
				put(t, d.Other, failing(letter, known))
				checkLetter(t, d, kept)
			}
		}
	}},

	{"Put of another failure adds it, and leaves subscription and message as they were", func(t testing.TB, d DeadLetters) {
		letter := nthLetter(1)
		put(t, d.Letters, letter)
		want := putAs(letter)
		for n := 2; n < 5; n++ {
			again := nthLetter(n)
			again.ID, again.Subscription = letter.ID, "another"
			put(t, d.Other, again)
			want.Failures = append(want.Failures, again.Failure)
			checkLetter(t, d, want)
		}
		checkLetters(t, d, ports.DeadLetterQuery{Limit: 10}, want)
	}},

	{"Put of another failure makes the letter wait again, from any state", func(t testing.TB, d DeadLetters) {
		for n, state := range letterStates {
			letter, failure := nthLetter(n), nthFailure(n+10)
			want := putInto(t, d.Letters, letter, state)
			put(t, d.Other, failing(letter, failure))
			want.Failures = append(want.Failures, failure)
			want = settledAs(want, ports.Waiting, time.Time{})
			checkLetter(t, d, want)
			checkLetters(t, d, ports.DeadLetterQuery{State: ports.Waiting, Reason: failure.Reason, Limit: 1}, want)
		}
	}},

	{"Put sorts a letter's failures, the latest last", func(t testing.TB, d DeadLetters) {
		want := withFailures(nthLetter(1), 0, 6)
		for _, n := range []int{3, 5, 0, 6, 4, 1, 2} {
			put(t, d.Letters, failing(nthLetter(1), want.Failures[n]))
		}
		checkLetter(t, d, want)
		checkLetters(t, d, ports.DeadLetterQuery{Reason: want.Failures[6].Reason, Limit: 1}, want)
		checkLetters(t, d, ports.DeadLetterQuery{Reason: want.Failures[2].Reason, Limit: 1})
	}},

	{"Put keeps the latest MaxFailures of a letter's failures", func(t testing.TB, d DeadLetters) {
		const more = 3
		want := withFailures(nthLetter(0), 0, ports.MaxFailures+more-1)
		all := want.Failures
		for n, failure := range all {
			put(t, d.Letters, failing(nthLetter(0), failure))
			if n == ports.MaxFailures-1 {
				want.Failures = all[:ports.MaxFailures]
				checkLetter(t, d, want)
			}
		}
		want.Failures = all[more:]
		checkLetter(t, d, want)
	}},

	{"Put of one id by many callers keeps one letter with every failure", func(t testing.TB, d DeadLetters) {
		const rounds, callers, failures = 3, 32, 16
		var all []ports.DeadLetterRecord
		for round := range rounds {
			letter := nthLetter(round)
			want := withFailures(letter, 0, failures-1)
			ctx := bounded(t)
			together(callers, func(i int) {
				if err := either(i, d.Letters, d.Other).Put(ctx, failing(letter, want.Failures[i*7%failures])); err != nil {
					t.Errorf("put dead letter %s during other calls: %v", letter.ID, err)
				}
			})
			checkLetter(t, d, want)
			all = append(all, want)
			checkLetters(t, d, ports.DeadLetterQuery{Limit: 10}, all...)
		}
	}},

	{"Put keeps the letter although its context ends afterwards", func(t testing.TB, d DeadLetters) {
		ctx, cancel := context.WithCancel(bounded(t))
		err := d.Letters.Put(ctx, nthLetter(1))
		cancel()
		must(t, "put dead letter", err)
		time.Sleep(quiet)
		checkLetter(t, d, putAs(nthLetter(1)))
	}},

	{"Put with an ended context changes nothing", func(t testing.TB, d DeadLetters) {
		kept := putInto(t, d.Letters, nthLetter(1), ports.Replayed)
		for _, letter := range []ports.DeadLetter{nthLetter(2), failing(nthLetter(1), nthFailure(10))} {
			checkEnded(t, "Put", func(ctx context.Context) error { return d.Letters.Put(ctx, letter) })
		}
		checkNoLetter(t, d.Other, nthLetter(2).ID)
		checkLetter(t, d, kept)
		checkLetters(t, d, ports.DeadLetterQuery{Limit: 10}, kept)
	}},
}
