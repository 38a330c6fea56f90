package porttest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"example.com/orderflow/domain"
)

var outboxRelease = []Clause[Store]{
	{"Release keeps events from Claim until the given time, even beyond a lease", func(t testing.TB, s Store) {
		all := addEvents(t, s, 1, 3)
		at := time.Now().Add(3 * s.Lease)
		release(t, s, at, all[0].ID, all[1].ID)
		for time.Now().Before(at) {
			got := claim(t, s.Other, plenty)
			early := time.Until(at)
			for _, event := range all[:2] {
				if holds(got, event.ID) && early > 0 {
					t.Fatalf("Claim returned event %s %v before the time from which it is free", event.ID, early)
				}
			}
			time.Sleep(s.Lease / 10)
		}
		awaitFree(t, s.Other, eventIDs(all)...)
	}},

	{"Release of some events until later lets Claim return the others", func(t testing.TB, s Store) {
		ids := eventIDs(addEvents(t, s, 1, 20))
		release(t, s, time.Now().Add(time.Hour), ids[:10]...)
		awaitEach(t, "Claim with limit 1 returns each event that is free", ids[10:], func() []domain.EventID {
			got := eventIDs(claim(t, s.Outbox, 1))
			if len(got) > 0 && slices.Contains(ids[:10], got[0]) {
				t.Fatalf("Claim returned event %s, which is free in an hour", got[0])
			}
			return got
		})
	}},

	{"Release at a past time frees an event at once", func(t testing.TB, s Store) {
		withinLease(t, s.Lease, func(round int) (claimed time.Time, fault string) {
			claimed = time.Now()
			id := addEvents(t, s, round, 1)[0].ID
			release(t, s, claimed.Add(-time.Hour), id)
			if !holds(claim(t, s.Other, plenty), id) {
				fault = fmt.Sprintf("Claim did not return event %s, which was released at a past time", id)
			}
			return claimed, fault
		})
	}},

	{"Release puts nothing into the outbox", func(t testing.TB, s Store) {
		all := addEvents(t, s, 1, 2)
		mark(t, s.Outbox, all[0].ID)
		past := time.Now().Add(-time.Hour)
		release(t, s, past, all[0].ID, event(3).ID, "", "no event's id", domain.EventID(all[1].Order.ID), all[1].ID+"-2")
		release(t, s, past)
		checkOutbox(t, s, all[1])
	}},

	{"Release with an ended context releases nothing", func(t testing.TB, s Store) {
		want := addEvents(t, s, 1, 1)[0]
		checkEnded(t, "Release", func(ctx context.Context) error {
			return s.Outbox.Release(ctx, time.Now().Add(time.Hour), want.ID)
		})
		awaitFree(t, s.Other, want.ID)
	}},
}
