package porttest

import (
	"context"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/ports"
)

// checkLetterAccount fails t unless both processes return this account.
func checkLetterAccount(t testing.TB, d DeadLetters, want ...ports.DeadLetterAccount) {
	t.Helper()
	for _, store := range []ports.DeadLetters{d.Letters, d.Other} {
		got, err := store.Account(bounded(t))
		must(t, "count dead letters", err)
		checkEqual(t, "account of the dead letters", want, got)
	}
}

var deadLettersAccount = []Clause[DeadLetters]{
	{"Account counts the letters of each subscription by their states, those apart that are no events", func(t testing.TB, d DeadLetters) {
		checkLetterAccount(t, d)
		var want []ports.DeadLetterAccount
		for s, subscription := range []string{"", "mail", "web"} {
			for u, prefix := range []string{"", ports.UnreadableID} {
				a := ports.DeadLetterAccount{Subscription: subscription, Unreadable: u == 1}
				for i, state := range []ports.DeadLetterState{
					ports.Replayed, ports.Waiting, ports.Discarded, ports.Waiting, ports.Waiting, ports.Discarded,
				}[:6-s] {
					letter := nthLetter(100*s + 10*u - i)
					letter.Subscription = subscription
					letter.ID = prefix + letter.ID + strings.TrimSuffix("."+subscription, ".")
					putInto(t, d.Letters, letter, state)
					switch state {
					case ports.Waiting:
						a.Waiting = withOne(a.Waiting, letter.Failure.FirstFailure)
					case ports.Replayed:
						a.Replayed++
					case ports.Discarded:
						a.Discarded++
					}
				}
				want = append(want, a)
				checkLetterAccount(t, d, want...)
			}
		}
	}},

	{"Account follows a letter that is settled, fails again, is restored or forgotten", func(t testing.TB, d DeadLetters) {
		letter := nthLetter(1)
		letter.Message = eventMessage(event(1))
		letter.ID = letter.Message.ID
		waiting := ports.DeadLetterAccount{Waiting: ports.Backlog{N: 1, Oldest: letter.Failure.FirstFailure}}
		for range 2 {
			put(t, d.Letters, letter)
			checkLetterAccount(t, d, waiting)
		}
		record := getLetter(t, d.Letters, letter.ID)
		for _, state := range []ports.DeadLetterState{ports.Replayed, ports.Discarded, ports.Waiting, ports.Replayed} {
			record = settled(t, d.Other, record, state)
			want := map[ports.DeadLetterState]ports.DeadLetterAccount{ports.Waiting: waiting, ports.Replayed: {Replayed: 1}, ports.Discarded: {Discarded: 1}}
			checkLetterAccount(t, d, want[state])
		}
		put(t, d.Letters, failing(letter, nthFailure(5)))
		checkLetterAccount(t, d, waiting)
		forgetLetters(t, d.Letters, "user", 1)
		checkLetterAccount(t, d, ports.DeadLetterAccount{Discarded: 1})
	}},

	{"Account counts settled letters after their retention", func(t testing.TB, d DeadLetters) {
		count := func() (n ports.DeadLetterAccount) {
			all, err := d.Forgetful.Account(bounded(t))
			must(t, "count dead letters", err)
			for _, a := range all {
				if a.Subscription == "short" {
					n = a
				}
			}
			return n
		}
		for i, state := range letterStates {
			letter := nthLetter(i)
			letter.Subscription = "short"
			putInto(t, d.Forgetful, letter, state)
		}
		want := ports.DeadLetterAccount{Subscription: "short", Waiting: ports.Backlog{N: 1, Oldest: nthFailure(0).FirstFailure}, Replayed: 1, Discarded: 1}
		end := time.Now().Add(3 * d.Retention)
		for time.Now().Before(end) {
			checkEqual(t, "account of the dead letters", want, count())
			time.Sleep(d.Retention / 4)
		}
		again := nthLetter(1)
		again.Subscription = "short"
		put(t, d.Forgetful, again) // another record of the same id
		want.Waiting.N++
		checkEqual(t, "account of the dead letters", want, count())
	}},

	{"Account of the dead letters with an ended context returns its error", func(t testing.TB, d DeadLetters) {
		checkEnded(t, "Account", func(ctx context.Context) error { return errorOf(d.Letters.Account(ctx)) })
	}},
}
