package porttest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func forgetLetters(t testing.TB, store ports.DeadLetters, user string, count int) {
	t.Helper()
	got, err := store.Forget(bounded(t), user)
	must(t, fmt.Sprintf("forget user %q", user), err)
	if got != count {
		t.Errorf("forget user %q: %d dead letters have changed, want %d", user, got, count)
	}
}

// eventMessage returns the event's message, as consumers get it.
func eventMessage(event domain.Event) ports.Message {
	const format = "2006-01-02T15:04:05.000Z07:00"
	o := event.Order
	body, err := json.Marshal(map[string]any{
		"id": o.ID, "user_id": o.UserID, "product": o.Product, "quantity": o.Quantity, "created_at": o.CreatedAt.Format(format),
	})
	if err != nil {
		panic(err)
	}
	return ports.Message{
		ID: string(event.ID), ContentType: "application/json", Timestamp: event.Time, Body: body,
		Headers: map[string]string{
			"ce-id": string(event.ID), "ce-source": "/orderflow/orders", "ce-specversion": "1.0", "ce-subject": string(o.ID),
			"ce-time": event.Time.Format(format), "ce-type": string(event.Type),
		},
	}
}

// userLetters puts letters of the user's events, with two failures each: one letter in
// each state, and one of a subscription.
func userLetters(t testing.TB, d DeadLetters, user string, n int) []ports.DeadLetterRecord {
	t.Helper()
	var all []ports.DeadLetterRecord
	for i, state := range append(letterStates, ports.Waiting) {
		letter := nthLetter(n + i)
		letter.Message = eventMessage(newOrder(n+i, user, "a product", 1, epoch).Created())
		letter.ID = letter.Message.ID
		if i == len(letterStates) {
			letter.Subscription = "email"
			letter.ID += ".email"
		}
		put(t, d.Letters, letter)
		all = append(all, putInto(t, d.Letters, failing(letter, nthFailure(n+i+50)), state))
	}
	return all
}

// emptied returns the record after its user was forgotten. If it waited, at is the
// time of the change.
func emptied(letter ports.DeadLetterRecord, at time.Time) ports.DeadLetterRecord {
	letter.Message.Body, letter.Message.Headers, letter.UserID = nil, nil, ""
	failures := letter.Failures
	letter.Failures = nil
	for _, failure := range failures {
		failure.Reason = ""
		letter.Failures = append(letter.Failures, failure)
	}
	if letter.State == ports.Waiting {
		letter.State, letter.SettledAt, letter.SettledBy = ports.Discarded, at, ports.SettledByForget
	}
	return letter
}

var deadLettersForgetUser = []Clause[DeadLetters]{
	{"Forget empties the letters of the user's events, and discards those that wait", func(t testing.TB, d DeadLetters) {
		const apart = time.Minute // how far the store's clock may be from this one
		begin := time.Now()
		mine := userLetters(t, d, "ann", 0)
		forgetLetters(t, d.Other, "ann", len(mine))
		for _, letter := range mine {
			got := getLetter(t, d.Letters, letter.ID)
			checkLetter(t, d, emptied(letter, got.SettledAt))
			checkListed(t, d.Letters, ports.DeadLetterQuery{State: got.State, Limit: 10}, got)
			if letter.State == ports.Waiting && (got.SettledAt.Before(begin.Add(-apart)) || got.SettledAt.After(time.Now().Add(apart))) {
				t.Errorf("SettledAt of the discarded dead letter %s is %v, want about %v", got.ID, got.SettledAt, begin)
			}
		}
		checkLetters(t, d, ports.DeadLetterQuery{State: ports.Waiting, Limit: 10})
		forgetLetters(t, d.Letters, "ann", 0) // a second time
	}},

	{"Forget empties the letters of the user's events that break a rule, too", func(t testing.TB, d DeadLetters) {
		broken, bare := nthLetter(0), nthLetter(1)
		broken.Message = eventMessage(newOrder(0, "ann", "a product", 1, epoch).Created())
		broken.Message.Body = []byte(`{"id":7,"user_id":"ann","quantity":0}`)
		bare.Message = eventMessage(newOrder(1, "ann", "a product", 1, epoch).Created())
		bare.Message.Headers = nil
		for _, letter := range []ports.DeadLetter{broken, bare} {
			put(t, d.Letters, letter)
		}
		forgetLetters(t, d.Other, "ann", 2)
		for _, letter := range []ports.DeadLetter{broken, bare} {
			got := getLetter(t, d.Letters, letter.ID)
			checkLetter(t, d, emptied(putAs(letter), got.SettledAt))
		}
	}},

	{"Forget changes no letter of another user, and none that is not an event", func(t testing.TB, d DeadLetters) {
		kept := userLetters(t, d, "Ann", 300)
		kept = append(kept, userLetters(t, d, "ann2", 100)...)
		for _, letter := range append(hardLetters(), nthLetter(200)) { // none is an event
			kept = append(kept, putInto(t, d.Letters, letter, ports.Waiting))
		}
		for _, user := range []string{"ann", "nobody", "", `{"$gt":""}`} {
			forgetLetters(t, d.Other, user, 0)
		}
		for _, letter := range kept {
			checkLetter(t, d, letter)
		}
	}},

	{"Put of another failure does not bring back what Forget has emptied", func(t testing.TB, d DeadLetters) {
		before := userLetters(t, d, "ann", 0)[0]
		forgetLetters(t, d.Other, "ann", 4)
		want := emptied(before, time.Time{})
		put(t, d.Letters, failingAgain(before, nthFailure(1000)))
		want.Failures = append(want.Failures, nthFailure(1000))
		checkLetter(t, d, settledAs(want, ports.Waiting, time.Time{}))
	}},

	{"Forget of a user with an ended context changes nothing", func(t testing.TB, d DeadLetters) {
		mine := userLetters(t, d, "ann", 0)
		checkEnded(t, "Forget", func(ctx context.Context) error { return errorOf(d.Letters.Forget(ctx, "ann")) })
		for _, letter := range mine {
			checkLetter(t, d, letter)
		}
	}},
}
