package porttest

import (
	"context"
	"errors"
	"testing"

	"example.com/orderflow/ports"
)

var deadLettersGet = []Clause[DeadLetters]{
	{"Get finds no letter under an unknown id", func(t testing.TB, d DeadLetters) {
		checkNoLetter(t, d.Letters, nthLetter(1).ID)
		put(t, d.Letters, nthLetter(1))
		for _, id := range []string{nthLetter(2).ID, nthLetter(1).ID + " ", nthLetter(1).ID[:8], "$ne", ".*"} {
			checkNoLetter(t, d.Letters, id)
		}
	}},

	{"Get and List of letters with an ended context return its error", func(t testing.TB, d DeadLetters) {
		put(t, d.Letters, nthLetter(1))
		checkEnded(t, "Get", func(ctx context.Context) error { return errorOf(d.Letters.Get(ctx, nthLetter(1).ID)) })
		checkEnded(t, "List", func(ctx context.Context) error {
			return errorOf(d.Letters.List(ctx, ports.DeadLetterQuery{Limit: 1}))
		})
	}},

	{"Put, Get and List of letters share no memory with their caller", func(t testing.TB, d DeadLetters) {
		const changed = "changed by the caller"
		spoil := func(m ports.Message, failures []ports.Failure) {
			for i := range m.Body {
				m.Body[i] = 'x'
			}
			for name := range m.Headers {
				m.Headers[name] = changed
			}
			for i := range failures {
				failures[i].Reason = changed
			}
		}

		want := putAs(nthLetter(1))
		mine := nthLetter(1)
		put(t, d.Letters, mine)
		spoil(mine.Message, nil)
		checkLetter(t, d, want)

		again := failing(nthLetter(1), nthFailure(2))
		put(t, d.Letters, again)
		spoil(again.Message, nil)
		want.Failures = append(want.Failures, nthFailure(2))
		checkLetter(t, d, want)

		for range 2 {
			got := getLetter(t, d.Letters, want.ID)
			spoil(got.Message, got.Failures)
			checkLetter(t, d, want)
			for _, listed := range listLetters(t, d.Letters, ports.DeadLetterQuery{Limit: 1}) {
				spoil(listed.Message, listed.Failures)
			}
			checkLetter(t, d, want)
			checkLetters(t, d, ports.DeadLetterQuery{Limit: 1}, want)
		}
	}},

	{"the methods of the dead letters may be called from several goroutines at once", func(t testing.TB, d DeadLetters) {
		const callers, each = 8, 5
		ctx := bounded(t)
		together(callers, func(c int) {
			store := either(c, d.Letters, d.Other)
			for i := range each {
				mine := nthLetter(c*each + i)
				_, list := store.List(ctx, ports.DeadLetterQuery{Limit: 10})
				put := store.Put(ctx, mine)
				kept, get := store.Get(ctx, mine.ID)
				settle := store.Settle(ctx, kept, ports.Discarded, settler)
				again := store.Put(ctx, failing(mine, nthFailure(1000)))
				if err := errors.Join(list, put, get, settle, again); err != nil {
					t.Errorf("dead letter %s during other calls: %v", mine.ID, err)
					return
				}
			}
		})
		var want []ports.DeadLetterRecord
		for n := range callers * each {
			letter := putAs(nthLetter(n))
			letter.Failures = append(letter.Failures, nthFailure(1000))
			want = append(want, letter)
		}
		checkLetters(t, d, ports.DeadLetterQuery{Limit: 10}, want...)
	}},
}
