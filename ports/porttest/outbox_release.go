package porttest

import (
	"context"
	"testing"
	"time"

	"example.com/orderflow/domain"
)

func postpone(t testing.TB, s Store, until time.Time, ids ...domain.EventID) {
	t.Helper()
	if err := s.Outbox.Release(bounded(t), until, ids...); err != nil {
		t.Fatalf("postpone %d events: %v", len(ids), err)
	}
}

func postponeStaysAway(t testing.TB, s Store) {
	all := events(t, 1, 3)
	for _, event := range all {
		addAll(t, s, event.Order)
	}
	until := time.Now().Add(3 * s.Lease)
	postpone(t, s, until, all[0].ID, all[1].ID)
	for time.Now().Before(until) {
		got := claim(t, s.Other, plenty)
		seen := time.Now()
		for _, event := range all[:2] {
			if holds(got, event.ID) && seen.Before(until) {
				t.Fatalf("Claim returned event %s %v before it was to be free", event.ID, until.Sub(seen))
			}
		}
		time.Sleep(s.Lease / 10)
	}
	awaitFree(t, s.Other, eventIDs(all)...)
}

func postponeHoldsUpNobody(t testing.TB, s Store) {
	all := events(t, 1, 20)
	for _, event := range all {
		addAll(t, s, event.Order)
	}
	postpone(t, s, time.Now().Add(time.Hour), eventIDs(all[:10])...)
	missing := map[domain.EventID]bool{}
	for _, event := range all[10:] {
		missing[event.ID] = true
	}
	eventually(t, "Claim returns each event that is not postponed, one by one", func() bool {
		for _, event := range claim(t, s.Outbox, 1) {
			if holds(all[:10], event.ID) {
				t.Fatalf("Claim returned event %s, which was postponed for an hour", event.ID)
			}
			delete(missing, event.ID)
		}
		return len(missing) == 0
	})
}

func postponeFrees(t testing.TB, s Store) {
	withinLease(t, s.Lease, func(round int) (claimed time.Time, fault string) {
		mine := order(t, round)
		claimed = time.Now()
		addAll(t, s, mine)
		postpone(t, s, claimed.Add(-time.Hour), mine.Created().ID)
		if !holds(claim(t, s.Other, plenty), mine.Created().ID) {
			fault = "Claim did not return an event that was postponed to the past"
		}
		return claimed, fault
	})
}

func postponePutsNothing(t testing.TB, s Store) {
	all := events(t, 1, 2)
	addAll(t, s, all[0].Order, all[1].Order)
	mark(t, s.Outbox, all[0].ID)
	past := time.Now().Add(-time.Hour)
	postpone(t, s, past, all[0].ID, order(t, 3).Created().ID, "", "no event's id", domain.EventID(all[1].Order.ID), all[1].ID+"-2")
	postpone(t, s, past)
	checkOutbox(t, s, all[1])
}

func postponeEnded(t testing.TB, s Store) {
	want := order(t, 1).Created()
	addAll(t, s, want.Order)
	checkEnded(t, "Postpone", func(ctx context.Context) error {
		return s.Outbox.Release(ctx, time.Now().Add(time.Hour), want.ID)
	})
	awaitFree(t, s.Other, want.ID)
}
