package porttest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func claimEmpty(t testing.TB, s Store) {
	for _, outbox := range []ports.Outbox{s.Outbox, s.Other} {
		if got := claim(t, outbox, plenty); len(got) > 0 {
			t.Errorf("got %d events from an empty outbox", len(got))
		}
	}
}

func claimBelowOne(t testing.TB, s Store) {
	all := orders(t, 1, 3)
	addAll(t, s, all...)
	waitOut(s.Lease)
	for _, limit := range []int{0, -1, -1 << 31} {
		if got := claim(t, s.Outbox, limit); len(got) > 0 {
			t.Errorf("limit %d: got %d events, want none", limit, len(got))
		}
	}
	awaitFree(t, s.Other, eventIDs(created(all))...)
}

func claimLimit(t testing.TB, s Store) {
	all := orders(t, 1, 7)
	addAll(t, s, all...)
	waitOut(s.Lease)
	// A claim on the first may run out and come again, so what counts is that
	// all have come.
	missing := map[domain.EventID]bool{}
	for _, event := range created(all) {
		missing[event.ID] = true
	}
	eventually(t, "Claim returns each of 7 events by two", func() bool {
		got := claim(t, s.Outbox, 2)
		if len(got) > 2 {
			t.Fatalf("limit 2: got %d events", len(got))
		}
		for _, event := range got {
			delete(missing, event.ID)
		}
		return len(missing) == 0
	})
}

func claimStaysAway(t testing.TB, s Store) {
	withinLease(t, s.Lease, func(round int) (claimed time.Time, fault string) {
		id := order(t, round).Created().ID
		addAll(t, s, order(t, round))
		waitOut(s.Lease)
		eventually(t, "Claim returns the event", func() bool {
			claimed = time.Now()
			return holds(claim(t, s.Outbox, plenty), id)
		})
		for asked := false; !asked || time.Since(claimed) < s.Lease/2; asked = true {
			for _, outbox := range []ports.Outbox{s.Other, s.Outbox} {
				if holds(claim(t, outbox, plenty), id) {
					return claimed, fmt.Sprintf("Claim returned an event before its claim of %v had run out", s.Lease)
				}
			}
			time.Sleep(s.Lease / 12)
		}
		return claimed, ""
	})
}

func claimAgain(t testing.TB, s Store) {
	want := order(t, 1).Created()
	addAll(t, s, want.Order)
	for _, outbox := range []ports.Outbox{s.Outbox, s.Other, s.Outbox} {
		for _, got := range awaitFree(t, outbox, want.ID) {
			checkEvent(t, want, got)
		}
	}
}

// The order of becoming free is neither that of creation nor that of ids.
func claimLongestFree(t testing.TB, s Store) {
	var ids []domain.EventID
	for n := range 3 {
		o := order(t, 3-n)
		addAll(t, s, o)
		ids = append(ids, o.Created().ID)
		time.Sleep(2 * tick) // so that no clock takes them for simultaneous
	}
	next := func() (got domain.EventID) {
		t.Helper()
		eventually(t, "Claim returns an event", func() bool {
			events := claim(t, s.Outbox, 1)
			for _, event := range events {
				got = event.ID
			}
			return len(events) > 0
		})
		return got
	}
	waitOut(s.Lease)
	got := []domain.EventID{next()}
	waitOut(s.Lease) // the first is free again, for a shorter time than the others
	got = append(got, next(), next(), next())
	if diff := cmp.Diff([]domain.EventID{ids[0], ids[1], ids[2], ids[0]}, got); diff != "" {
		t.Errorf("events claimed one by one (-want +got):\n%s", diff)
	}

	time.Sleep(2 * tick)
	waitOut(s.Lease)
	var all []domain.EventID
	eventually(t, "Claim returns three events", func() bool {
		all = append(all, eventIDs(claim(t, s.Outbox, 3))...)
		return len(all) >= 3
	})
	if diff := cmp.Diff([]domain.EventID{ids[1], ids[2], ids[0]}, all[:3]); diff != "" {
		t.Errorf("events claimed together (-want +got):\n%s", diff)
	}
}

func claimAtOnce(t testing.TB, s Store) {
	const count = 40
	withinLease(t, s.Lease, func(round int) (claimed time.Time, fault string) {
		all := orders(t, round*count, count)
		addAll(t, s, all...)
		waitOut(s.Lease)

		claimed = time.Now()
		ctx := bounded(t)
		var mu sync.Mutex
		times := map[domain.EventID]int{}
		together(4, func(i int) {
			outbox := s.Outbox
			if i%2 == 0 {
				outbox = s.Other
			}
			for range count { // an adapter that claims nothing would never be done
				events, err := outbox.Claim(ctx, 7)
				if err != nil {
					t.Errorf("claim beside others: %v", err)
				}
				if len(events) == 0 {
					return
				}
				mu.Lock()
				for _, event := range events {
					times[event.ID]++
				}
				mu.Unlock()
			}
		})
		eventually(t, "every event is claimed", func() bool {
			for _, event := range claim(t, s.Outbox, plenty) {
				times[event.ID]++
			}
			return !slices.ContainsFunc(all, func(o domain.Order) bool { return times[o.Created().ID] == 0 })
		})
		for _, order := range all {
			if n := times[order.Created().ID]; n > 1 {
				fault = fmt.Sprintf("of those that claimed at once, %d got the same event", n)
			}
		}
		return claimed, fault
	})
}

func claimEnded(t testing.TB, s Store) {
	withinLease(t, s.Lease, func(round int) (claimed time.Time, fault string) {
		all := events(t, 3*round, 3)
		for _, event := range all {
			addAll(t, s, event.Order)
			time.Sleep(2 * tick)
		}
		waitOut(s.Lease)
		claimed = time.Now()
		checkEnded(t, "Claim", func(ctx context.Context) error {
			_, err := s.Outbox.Claim(ctx, 1)
			return err
		})
		var got []domain.Event
		eventually(t, "Claim returns the last event", func() bool {
			got = claim(t, s.Outbox, plenty)
			return holds(got, all[2].ID)
		})
		if !holds(got, all[0].ID) || !holds(got, all[1].ID) { // free for longer than the last
			fault = "Claim with an ended context kept an event from the next"
		}
		return claimed, fault
	})
}

func claimSlices(t testing.TB, s Store) {
	all := orders(t, 1, 3)
	addAll(t, s, all...)
	for range 2 {
		waitOut(s.Lease)
		got := claim(t, s.Outbox, plenty)
		for i := range got {
			got[i].Order.Product = "changed by the caller"
		}
	}
	checkOutbox(t, s, created(all)...)
}

func markClaimed(t testing.TB, s Store) {
	all := events(t, 1, 3)
	for _, event := range all {
		addAll(t, s, event.Order)
	}
	mark(t, s.Outbox, all[0].ID) // claimed by Add
	awaitFree(t, s.Outbox, all[1].ID, all[2].ID)
	mark(t, s.Outbox, all[1].ID) // claimed by Claim
	awaitFree(t, s.Outbox, all[2].ID)
	mark(t, s.Other, all[2].ID) // claimed by another
	checkOutbox(t, s)
	checkOutbox(t, s) // and still
}

func markFree(t testing.TB, s Store) {
	all := events(t, 1, 3)
	for _, event := range all {
		addAll(t, s, event.Order)
	}
	waitOut(s.Lease)
	mark(t, s.Other, eventIDs(all)...)
	checkOutbox(t, s)
	checkOutbox(t, s)
}

func markMany(t testing.TB, s Store) {
	all := orders(t, 1, 300)
	addAll(t, s, all...)
	mark(t, s.Outbox, eventIDs(created(all))...)
	checkOutbox(t, s)
}

func markNoOther(t testing.TB, s Store) {
	all := orders(t, 1, 5)
	addAll(t, s, all...)
	mark(t, s.Outbox)
	mark(t, s.Outbox, all[1].Created().ID, all[3].Created().ID)
	checkOutbox(t, s, created([]domain.Order{all[0], all[2], all[4]})...)
}

func markUnknown(t testing.TB, s Store) {
	all := events(t, 1, 2)
	addAll(t, s, all[0].Order, all[1].Order)
	unknown := []domain.EventID{order(t, 3).Created().ID, "", "no event's id", domain.EventID(all[0].Order.ID), all[0].ID + "-2"}
	mark(t, s.Outbox, unknown...)
	mark(t, s.Outbox, append(unknown, all[1].ID)...)
	checkOutbox(t, s, all[0])
}

func markRepeated(t testing.TB, s Store) {
	all := events(t, 1, 2)
	addAll(t, s, all[0].Order, all[1].Order)
	for range 2 {
		mark(t, s.Outbox, all[0].ID, all[0].ID)
		mark(t, s.Other, all[0].ID)
	}
	checkOutbox(t, s, all[1])
}

func markLeavesOrder(t testing.TB, s Store) {
	want := order(t, 1)
	addAll(t, s, want)
	mark(t, s.Outbox, want.Created().ID)
	checkKept(t, s, want)
	checkList(t, s, ports.OrderQuery{Limit: 10}, want)
}

func markEnded(t testing.TB, s Store) {
	want := order(t, 1).Created()
	addAll(t, s, want.Order)
	checkEnded(t, "MarkPublished", func(ctx context.Context) error { return s.Outbox.MarkPublished(ctx, want.ID) })
	checkOutbox(t, s, want)
}

func markSlices(t testing.TB, s Store) {
	all := events(t, 1, 2)
	addAll(t, s, all[0].Order, all[1].Order)
	ids := []domain.EventID{all[0].ID}
	mark(t, s.Outbox, ids...)
	ids[0] = all[1].ID
	time.Sleep(quiet)
	checkOutbox(t, s, all[1])
}
