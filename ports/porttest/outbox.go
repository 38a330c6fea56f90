package porttest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func outboxClauses() []Clause[Store] {
	return []Clause[Store]{
		{"Add puts the order's event into the outbox", addPutsEvent},
		{"Add holds the claim on the event until it runs out", addHoldsClaim},
		{"a refused Add does not bring back an event that was published", addRefusedAfterMark},
		{"Claim of an empty outbox returns nothing", claimEmpty},
		{"Claim with a limit below 1 claims nothing", claimBelowOne},
		{"Claim returns no more than its limit, and leaves the others free", claimLimit},
		{"what is claimed stays away from everybody until the claim runs out", claimStaysAway},
		{"a claim that has run out can be claimed again, and again", claimAgain},
		{"Claim returns first what has been free for longest", claimLongestFree},
		{"Claim by many at once gives no event to two, and leaves none out", claimAtOnce},
		{"Claim with an ended context claims nothing", claimEnded},
		{"Claim leaves what it returned to the caller", claimSlices},
		{"MarkPublished takes a claimed event out for good", markClaimed},
		{"MarkPublished takes a free event out for good", markFree},
		{"MarkPublished takes out every event it is given", markMany},
		{"MarkPublished takes out no other event", markNoOther},
		{"MarkPublished passes over ids it does not know", markUnknown},
		{"MarkPublished may be repeated", markRepeated},
		{"MarkPublished leaves the order as it is", markLeavesOrder},
		{"MarkPublished with an ended context marks nothing", markEnded},
		{"MarkPublished leaves the slice to the caller", markSlices},
		{"what is postponed stays away until then, longer than a claim", postponeStaysAway},
		{"what is postponed holds up nobody", postponeHoldsUpNobody},
		{"Postpone to the past frees an event at once", postponeFrees},
		{"Postpone puts nothing into the outbox", postponePutsNothing},
		{"Postpone with an ended context postpones nothing", postponeEnded},
		{"ClaimLease tells how long a claim lasts", claimLease},
	}
}

const plenty = 1000 // events in one call of Claim: all that are free

func claim(t testing.TB, outbox ports.Outbox, limit int) []domain.Event {
	t.Helper()
	events, err := outbox.Claim(bounded(t), limit)
	if err != nil {
		t.Fatalf("claim %d events: %v", limit, err)
	}
	return events
}

func mark(t testing.TB, outbox ports.Outbox, ids ...domain.EventID) {
	t.Helper()
	if err := outbox.MarkPublished(bounded(t), ids...); err != nil {
		t.Fatalf("mark %d events published: %v", len(ids), err)
	}
}

// awaitFree claims, again and again, until it has got every one of the ids
// once, and returns all that it got.
func awaitFree(t testing.TB, outbox ports.Outbox, ids ...domain.EventID) []domain.Event {
	t.Helper()
	missing := map[domain.EventID]bool{}
	for _, id := range ids {
		missing[id] = true
	}
	var got []domain.Event
	eventually(t, fmt.Sprintf("Claim returns each of %d events", len(ids)), func() bool {
		for _, event := range claim(t, outbox, plenty) {
			got = append(got, event)
			delete(missing, event.ID)
		}
		return len(missing) == 0
	})
	return got
}

// checkOutbox fails t unless the outbox holds just these events. It claims until
// a witness comes, an event that is claimed from now: by then the claim on any
// other has run out too.
func checkOutbox(t testing.TB, s Store, want ...domain.Event) {
	t.Helper()
	expected := map[domain.EventID]domain.Event{}
	for _, event := range want {
		expected[event.ID] = event
	}
	witness := addWitness(t, s)
	seen := map[domain.EventID]bool{}
	for _, got := range awaitFree(t, s.Other, witness) {
		seen[got.ID] = true
		if want, ok := expected[got.ID]; ok {
			checkEvent(t, want, got)
		} else if got.ID != witness {
			t.Errorf("the outbox holds event %s, want it not to", got.ID)
		}
	}
	for id := range expected {
		if !seen[id] {
			t.Errorf("the outbox does not hold event %s", id)
		}
	}
	mark(t, s.Outbox, witness)
}

var witnesses atomic.Int64

// addWitness adds an order that no clause takes for its own.
func addWitness(t testing.TB, s Store) domain.EventID {
	t.Helper()
	witness := newOrder(t, 1_000_000+int(witnesses.Add(1)), "witness", "witness", 1, epoch)
	if err := s.Orders.Add(bounded(t), witness); err != nil {
		t.Fatalf("add order: %v", err)
	}
	return witness.Created().ID
}

func addPutsEvent(t testing.TB, s Store) {
	all := hardOrders(t)
	addAll(t, s, all...)
	checkOutbox(t, s, created(all)...)
}

func addHoldsClaim(t testing.TB, s Store) {
	withinLease(t, s.Lease, func(round int) (claimed time.Time, fault string) {
		mine := order(t, round)
		claimed = time.Now()
		addAll(t, s, mine)
		for _, outbox := range []ports.Outbox{s.Outbox, s.Other} {
			if holds(claim(t, outbox, plenty), mine.Created().ID) {
				fault = "Claim returned an event whose order has just been added"
			}
		}
		return claimed, fault
	})
	addAll(t, s, order(t, 0))
	awaitFree(t, s.Other, order(t, 0).Created().ID)
}

func holds(events []domain.Event, id domain.EventID) bool {
	return slices.Contains(eventIDs(events), id)
}

func addRefusedAfterMark(t testing.TB, s Store) {
	first := order(t, 1)
	addAll(t, s, first)
	mark(t, s.Outbox, first.Created().ID)
	checkError(t, "add a known id", s.Orders.Add(bounded(t), first), ports.ErrExists, string(first.ID))
	checkOutbox(t, s)
}
