package porttest_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// claiming makes a store whose Claim returns changed events.
func claiming(change func(events []domain.Event) []domain.Event) func() porttest.Store {
	return faulty(func(f *faultyStore) {
		changeResult(&f.claim, func(events *[]domain.Event, _ int) { *events = change(*events) })
	})
}

// claimingUpTo makes a store whose Claim has another limit.
func claimingUpTo(change func(limit int) int) func() porttest.Store {
	return faulty(func(f *faultyStore) { changeArgument(&f.claim, func(limit *int) { *limit = change(*limit) }) })
}

// claimingFirst makes a store whose Claim sorts free events by less.
func claimingFirst(less func(a, b entry) int) func() porttest.Store {
	return faultyNaive(func(n *naiveStore, _ *faultyStore) { n.less = less })
}

func brokenClaims() []broken[porttest.Store] {
	const (
		away       = "Claim does not return a claimed event before its claim runs out"
		again      = "Claim returns an event whose claim has run out, each time"
		limited    = "Claim returns no more events than its limit, and leaves the others free"
		longest    = "Claim returns first the event that has been free for longest"
		oneEach    = "Claim by many callers returns each event to one of them, and leaves none out"
		everyClaim = "every clause that claims"
		oneByOne   = "the clause of the longest free event claims one by one"
	)
	return []broken[porttest.Store]{
		{"Claim claims nothing", away, everyClaim, faultyNaive(func(n *naiveStore, _ *faultyStore) { n.lease = 0 })},
		{"a claim runs out early", away, "ClaimLease returns the same short lease", leased(lease / 3)},

		{"ClaimLease returns another lease", "ClaimLease returns how long a claim lasts", "events stay claimed for longer than clauses wait", leased(4 * lease)},
		{"a claim never runs out", again, everyClaim, leased(time.Hour)},

		{"a claim can run out once", again, everyClaim, func() porttest.Store {
			var given shared[domain.EventID, bool]
			return claiming(func(events []domain.Event) []domain.Event {
				return slices.DeleteFunc(events, func(e domain.Event) bool {
					_, known := given.once(e.ID, true)
					return known
				})
			})()
		}},
		{"Add leaves the event free", "Add holds the claim on the event until it runs out", everyClaim, faulty(func(f *faultyStore) {
			var mu sync.Mutex
			var free []domain.Event
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				err := f.store.Add(ctx, order, origin)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					free = append(free, order.Created())
				}
				return err
			}
			f.claim = claimingAlso(f, &mu, &free)
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				mu.Lock()
				defer mu.Unlock()
				free = slices.DeleteFunc(free, func(e domain.Event) bool { return slices.Contains(ids, e.ID) })
				return f.store.MarkPublished(ctx, ids...)
			}
		})},
		{"each process has its own claims", away, everyClaim, func() porttest.Store {
			one := newNaiveStore()
			other := *one
			other.claims = map[domain.EventID]time.Time{}
			return porttest.Store{Orders: one, Outbox: one, Other: &other, Lease: lease}
		}},
		{"Claim looks for events, and then claims them", oneEach, "", faultyNaive(func(n *naiveStore, _ *faultyStore) { n.gap = time.Millisecond })},

		{"Claim returns the oldest event first", longest, "", claimingFirst(func(a, b entry) int { return a.event.Time.Compare(b.event.Time) })},
		{"Claim returns the newest event first", longest, "", claimingFirst(func(a, b entry) int { return b.event.Time.Compare(a.event.Time) })},

		{"Claim returns events in the order in which they were added", longest, "", claimingFirst(func(a, b entry) int { return cmp.Compare(a.added, b.added) })},
		{"Claim returns the last freed event first", longest, "", claimingFirst(func(a, b entry) int { return longestFree(b, a) })},

		{"Claim of an empty outbox returns ErrNotFound", "Claim of an empty outbox returns nothing", everyClaim, faulty(func(f *faultyStore) {
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				events, err := f.store.Claim(ctx, limit)
				if err == nil && len(events) == 0 {
					err = fmt.Errorf("claim events: %w", ports.ErrNotFound)
				}
				return events, err
			}
		})},
		{"Claim ignores its limit", limited, oneByOne, claimingUpTo(func(limit int) int {
			if limit < 1 {
				return limit
			}
			return 1000
		})},
		{"Claim claims more than it returns", limited, oneByOne, faulty(func(f *faultyStore) {
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				events, err := f.store.Claim(ctx, max(limit, 1000*min(limit, 1)))
				return events[:min(len(events), max(limit, 0))], err
			}
		})},
		{"Claim with a limit of 0 has no limit", "Claim with a limit below 1 claims nothing", "", claimingUpTo(func(limit int) int {
			if limit <= 0 {
				return 1000
			}
			return limit
		})},
		{"Claim claims and then fails on an ended context", "Claim with an ended context claims nothing", "", faulty(func(f *faultyStore) { checkContextLast(&f.claim) })},
		{"Claim ignores its context", "Claim with an ended context claims nothing", "", faulty(func(f *faultyStore) { ignoreContext(&f.claim) })},
		{"Claim returns its own memory", "Claim shares no memory with its caller", "", func() porttest.Store {
			var kept shared[domain.EventID, *domain.Event]
			return claiming(func(events []domain.Event) []domain.Event {
				for i := range events {
					own, _ := kept.once(events[i].ID, &events[i])
					events[i] = *own
				}
				return events
			})()
		}},
		{"events lose their order's fields in the outbox", "Add puts the order's event into the outbox", everyOutbox, claiming(func(events []domain.Event) []domain.Event {
			for i := range events {
				events[i].Order.Product = ""
			}
			return events
		})},
	}
}
