package porttest_test

import (
	"context"
	"maps"
	"strings"

	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// forgettingLetters makes a store that changes the letters that Forget has emptied.
// change gets the letter as it is now, and as it was put first.
func forgettingLetters(change func(letter *ports.DeadLetterRecord, first ports.DeadLetter)) func() porttest.DeadLetters {
	return hoarding(func(f *faultyDeadLetters) {
		var first shared[string, ports.DeadLetter]
		f.put = func(ctx context.Context, letter ports.DeadLetter) error {
			first.once(letter.ID, cloned(letter))
			return f.whole.Put(ctx, letter)
		}
		f.change(func(letter *ports.DeadLetterRecord) {
			if put, ok := first.get(letter.ID); ok && len(letter.Message.Body) == 0 && len(put.Message.Body) > 0 {
				change(letter, put)
			}
		})
	})
}

func brokenForgettingOfUsers() []broken[porttest.DeadLetters] {
	const (
		empties = "Forget empties the letters of the user's events, and discards those that wait"
		breaks  = "Forget empties the letters of the user's events that break a rule, too"
		others  = "Forget changes no letter of another user, and none that is not an event"
		again   = "Put of another failure does not bring back what Forget has emptied"
		ended   = "Forget of a user with an ended context changes nothing"
	)
	forgetting := func(forget func(f *faultyDeadLetters, ctx context.Context, userID string) (int, error)) func() porttest.DeadLetters {
		return faultyLetters(func(f *faultyDeadLetters) {
			f.forget = func(ctx context.Context, userID string) (int, error) { return forget(f, ctx, userID) }
		})
	}
	return []broken[porttest.DeadLetters]{
		{"Forget leaves the headers", empties, "another clause forgets a user", forgettingLetters(func(letter *ports.DeadLetterRecord, first ports.DeadLetter) {
			letter.Message.Headers = maps.Clone(first.Message.Headers)
		})},
		{"Forget leaves the first reason", empties, "another clause forgets a user", forgettingLetters(func(letter *ports.DeadLetterRecord, first ports.DeadLetter) {
			letter.Failures[0].Reason = first.Failure.Reason
		})},
		{"Forget counts one more", empties, "every clause that forgets a user", forgetting(func(f *faultyDeadLetters, ctx context.Context, userID string) (int, error) {
			count, err := f.whole.Forget(ctx, userID)
			return count + 1, err
		})},
		{"Forget leaves the events without headers", breaks, "", forgettingLetters(func(letter *ports.DeadLetterRecord, first ports.DeadLetter) {
			if len(first.Message.Headers) == 0 {
				letter.Message.Body = first.Message.Body
			}
		})},
		{"Forget does not say who has discarded a letter", empties, "another clause forgets a user", keeping(func(letter *ports.DeadLetterRecord) {
			if letter.SettledBy == ports.SettledByForget {
				letter.SettledBy = ""
			}
		})},
		{"Forget forgets users in any case", others, "", forgetting(func(f *faultyDeadLetters, ctx context.Context, userID string) (int, error) {
			count, err := f.whole.Forget(ctx, userID)
			if err == nil && userID != "" {
				_, err = f.whole.Forget(ctx, strings.ToUpper(userID[:1])+userID[1:])
			}
			return count, err
		})},
		{"Put brings back an emptied message", again, "", forgettingLetters(func(letter *ports.DeadLetterRecord, first ports.DeadLetter) {
			if letter.State == ports.Waiting {
				letter.Message = first.Message.Clone()
			}
		})},
		{"Forget forgets and then fails on an ended context", ended, "", faultyLetters(func(f *faultyDeadLetters) { checkContextLast(&f.forget) })},
	}
}
