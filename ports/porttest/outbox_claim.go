package porttest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func claimLease(t testing.TB, s Store) {
	for _, outbox := range []ports.Outbox{s.Outbox, s.Other} {
		if got := outbox.ClaimLease(); got != s.Lease {
			t.Errorf("a claim lasts for %v, want %v", got, s.Lease)
		}
	}
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

// The order of becoming free is neither that of creation nor that of ids. The
// pauses are for clocks that would take two calls for simultaneous.
func claimLongestFree(t testing.TB, s Store) {
	var ids []domain.EventID
	for n := range 3 {
		o := order(t, 3-n)
		addAll(t, s, o)
		ids = append(ids, o.Created().ID)
		time.Sleep(2 * tick)
	}
	next := func() (got domain.EventID) {
		t.Helper()
		time.Sleep(2 * tick)
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
	const count, callers, limit = 40, 8, 7 // more than there are, together
	var left []domain.EventID              // by the callers of the last round
	withinLease(t, s.Lease, func(round int) (claimed time.Time, fault string) {
		all := orders(t, round*count, count)
		addAll(t, s, all...)
		waitOut(s.Lease)

		claimed = time.Now()
		ctx := bounded(t)
		var mu sync.Mutex
		times := map[domain.EventID]int{}
		together(callers, func(i int) {
			outbox := s.Outbox
			if i%2 == 0 {
				outbox = s.Other
			}
			events, err := outbox.Claim(ctx, limit)
			if err != nil {
				t.Errorf("claim beside others: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, event := range events {
				times[event.ID]++
			}
		})
		left = nil
		for _, event := range created(all) {
			switch n := times[event.ID]; {
			case n == 0:
				left = append(left, event.ID)
			case n > 1:
				fault = fmt.Sprintf("of those that claimed at once, %d got the same event", n)
			}
		}
		return claimed, fault
	})
	awaitFree(t, s.Outbox, left...)
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
			got = append(got, claim(t, s.Outbox, plenty)...)
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
