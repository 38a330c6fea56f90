package porttest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

var outboxClaim = []Clause[Store]{
	{"Claim of an empty outbox returns nothing", func(t testing.TB, s Store) {
		for _, outbox := range []ports.Outbox{s.Outbox, s.Other} {
			if got := claim(t, outbox, plenty); len(got) > 0 {
				t.Errorf("claim in an empty outbox: got %d events, such as %s, want none", len(got), got[0].ID)
			}
		}
	}},

	{"ClaimLease returns how long a claim lasts", func(t testing.TB, s Store) {
		for _, outbox := range []ports.Outbox{s.Outbox, s.Other} {
			if got := outbox.ClaimLease(); got != s.Lease {
				t.Errorf("ClaimLease is %v, want %v", got, s.Lease)
			}
		}
	}},

	{"Add holds the claim on the event until it runs out", func(t testing.TB, s Store) {
		withinLease(t, s.Lease, func(round int) (claimed time.Time, fault string) {
			claimed = time.Now()
			id := addEvents(t, s, round, 1)[0].ID
			for _, outbox := range []ports.Outbox{s.Outbox, s.Other} {
				if holds(claim(t, outbox, plenty), id) {
					fault = fmt.Sprintf("Claim returned event %s right after its order was added, want Add to hold the claim", id)
				}
			}
			return claimed, fault
		})
		awaitFree(t, s.Other, addEvents(t, s, 0, 1)[0].ID)
	}},

	{"Claim does not return a claimed event before its claim runs out", func(t testing.TB, s Store) {
		withinLease(t, s.Lease, func(round int) (claimed time.Time, fault string) {
			id := addEvents(t, s, round, 1)[0].ID
			eventually(t, "Claim returns event "+string(id), func() bool {
				claimed = time.Now()
				return holds(claim(t, s.Outbox, plenty), id)
			})
			return claimed, watch(claimed, s.Lease, func() string {
				for _, outbox := range []ports.Outbox{s.Other, s.Outbox} {
					if holds(claim(t, outbox, plenty), id) {
						return fmt.Sprintf("Claim returned event %s again %v after it was claimed, want its claim to last %v", id, time.Since(claimed), s.Lease)
					}
				}
				return ""
			})
		})
	}},

	{"Claim returns an event whose claim has run out, each time", func(t testing.TB, s Store) {
		want := addEvents(t, s, 1, 1)[0]
		for _, outbox := range []ports.Outbox{s.Outbox, s.Other, s.Outbox} {
			for _, got := range awaitFree(t, outbox, want.ID) {
				checkEqual(t, "claimed event "+string(want.ID), want, got)
			}
		}
	}},

	{"Claim with a limit below 1 claims nothing", func(t testing.TB, s Store) {
		all := orders(1, 3)
		add(t, s, all...)
		waitOut(s.Lease)
		for _, limit := range []int{0, -1, -1 << 31} {
			if got := claim(t, s.Outbox, limit); len(got) > 0 {
				t.Errorf("claim with limit %d: got %d events, such as %s, want none", limit, len(got), got[0].ID)
			}
		}
		awaitFree(t, s.Other, eventIDs(created(all))...)
	}},

	// The claim on the first events may run out during the clause, so they may
	// come again.
	{"Claim returns no more events than its limit, and leaves the others free", func(t testing.TB, s Store) {
		all := orders(1, 7)
		add(t, s, all...)
		waitOut(s.Lease)
		awaitEach(t, "Claim with limit 2 returns each event", eventIDs(created(all)), func() []domain.EventID {
			got := claim(t, s.Outbox, 2)
			if len(got) > 2 {
				t.Fatalf("claim with limit 2: got %d events, the last %s", len(got), got[len(got)-1].ID)
			}
			return eventIDs(got)
		})
	}},

	// Events become free neither in the order of their times nor of their ids. The
	// pauses are for clocks that would give two calls the same time.
	{"Claim returns first the event that has been free for longest", func(t testing.TB, s Store) {
		var ids []domain.EventID
		for n := range 3 {
			ids = append(ids, addEvents(t, s, 3-n, 1)[0].ID)
			time.Sleep(2 * tick)
		}
		next := func(limit, count int) (got []domain.EventID) {
			t.Helper()
			time.Sleep(2 * tick)
			eventually(t, fmt.Sprintf("Claim with limit %d returns %d events", limit, count), func() bool {
				got = append(got, eventIDs(claim(t, s.Outbox, limit))...)
				return len(got) >= count
			})
			return got[:count]
		}
		waitOut(s.Lease)
		got := next(1, 1)
		waitOut(s.Lease) // the first event is free again, but not for as long as the others
		got = slices.Concat(got, next(1, 1), next(1, 1), next(1, 1))
		checkEqual(t, "events claimed one by one", []domain.EventID{ids[0], ids[1], ids[2], ids[0]}, got)

		waitOut(s.Lease)
		checkEqual(t, "events claimed together", []domain.EventID{ids[1], ids[2], ids[0]}, next(3, 3))
	}},

	{"Claim by many callers returns each event to one of them, and leaves none out", func(t testing.TB, s Store) {
		const count, callers, limit = 40, 8, 7 // the callers' limits add up to more than the events
		var left []domain.EventID              // events that no caller got in the last round
		withinLease(t, s.Lease, func(round int) (claimed time.Time, fault string) {
			all := orders(round*count, count)
			add(t, s, all...)
			waitOut(s.Lease)

			claimed = time.Now()
			ctx := bounded(t)
			var mu sync.Mutex
			times := map[domain.EventID]int{}
			together(callers, func(i int) {
				events, err := either(i, s.Outbox, s.Other).Claim(ctx, limit)
				if err != nil {
					t.Errorf("claim during other calls: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, event := range events {
					times[event.ID]++
				}
			})
			left = nil
			for _, id := range eventIDs(created(all)) {
				switch n := times[id]; {
				case n == 0:
					left = append(left, id)
				case n > 1:
					fault = fmt.Sprintf("%d of %d concurrent callers got event %s, want one", n, callers, id)
				}
			}
			return claimed, fault
		})
		awaitFree(t, s.Outbox, left...)
	}},

	{"Claim with an ended context claims nothing", func(t testing.TB, s Store) {
		withinLease(t, s.Lease, func(round int) (claimed time.Time, fault string) {
			var ids []domain.EventID
			for n := range 3 {
				ids = append(ids, addEvents(t, s, 3*round+n, 1)[0].ID)
				time.Sleep(2 * tick)
			}
			waitOut(s.Lease)
			claimed = time.Now()
			checkEnded(t, "Claim", func(ctx context.Context) error { return errorOf(s.Outbox.Claim(ctx, 1)) })
			got := awaitFree(t, s.Outbox, ids[2])
			for _, id := range ids[:2] { // which have been free for longer than the last
				if !holds(got, id) {
					fault = fmt.Sprintf("Claim with an ended context claimed event %s, want it to claim nothing", id)
				}
			}
			return claimed, fault
		})
	}},

	{"Claim shares no memory with its caller", func(t testing.TB, s Store) {
		all := orders(1, 3)
		add(t, s, all...)
		for range 2 {
			waitOut(s.Lease)
			got := claim(t, s.Outbox, plenty)
			for i := range got {
				got[i].Order.Product = "changed by the caller"
			}
		}
		checkOutbox(t, s, created(all)...)
	}},
}
