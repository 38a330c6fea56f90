package porttest_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestStoreClauses(t *testing.T) {
	table := slices.Concat(brokenAdds(), brokenLists(), brokenClaims(), brokenMarks(), brokenPostpones())
	checkSuite(t, porttest.StoreClauses(), func() porttest.Store { return harness(orders()) }, table)
}

// leased makes a store whose claims last for d, whatever the harness says.
func leased(d time.Duration) func() porttest.Store {
	return func() porttest.Store { return harness(&memory.Orders{Lease: d}) }
}

// naiveStore keeps its outbox as one might at first: a list, and when each
// claim runs out.
type naiveStore struct {
	*memory.Orders
	lease time.Duration
	gap   time.Duration        // between looking for events and claiming them
	pick  func(a, b entry) int // which are claimed first

	mu      *sync.Mutex
	entries *[]*entry
	claims  map[domain.EventID]time.Time // when they run out
}

type entry struct {
	event domain.Event
	added int
	free  time.Time
}

func naive(pick func(a, b entry) int) *naiveStore {
	return &naiveStore{
		Orders: orders(), lease: lease, pick: pick,
		mu: new(sync.Mutex), entries: new([]*entry), claims: map[domain.EventID]time.Time{},
	}
}

func longestFree(a, b entry) int { return a.free.Compare(b.free) }

func (n *naiveStore) Add(ctx context.Context, order domain.Order) error {
	err := n.Orders.Add(ctx, order)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		n.claims[order.Created().ID] = time.Now().Add(n.lease)
		*n.entries = append(*n.entries, &entry{event: order.Created(), added: len(*n.entries)})
	}
	return err
}

func (n *naiveStore) Claim(ctx context.Context, limit int) ([]domain.Event, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var found []entry
	for _, e := range *n.entries {
		if ends := n.claims[e.event.ID]; !time.Now().Before(ends) {
			found = append(found, entry{e.event, e.added, ends})
		}
	}
	slices.SortStableFunc(found, n.pick)
	found = found[:min(max(limit, 0), len(found))]
	if n.gap > 0 {
		n.mu.Unlock()
		time.Sleep(n.gap)
		n.mu.Lock()
	}
	var events []domain.Event
	for _, e := range found {
		n.claims[e.event.ID] = time.Now().Add(n.lease)
		events = append(events, e.event)
	}
	return events, nil
}

func (n *naiveStore) MarkPublished(ctx context.Context, ids ...domain.EventID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	*n.entries = slices.DeleteFunc(*n.entries, func(e *entry) bool { return slices.Contains(ids, e.event.ID) })
	return nil
}

func (n *naiveStore) Release(ctx context.Context, until time.Time, ids ...domain.EventID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, id := range ids {
		n.claims[id] = until
	}
	return nil
}

func brokenClaims() []broken[porttest.Store] {
	return []broken[porttest.Store]{
		{name: "Claim claims nothing", open: func() porttest.Store {
			n := naive(longestFree)
			n.lease = 0
			return harness(n)
		}, fails: []string{
			"Add holds the claim on the event until it runs out",
			"Claim by many at once gives no event to two, and leaves none out",
			"what is claimed stays away from everybody until the claim runs out",
		}, more: true},

		{name: "a claim runs out early", open: leased(lease / 3), fails: []string{
			"ClaimLease tells how long a claim lasts",
			"what is claimed stays away from everybody until the claim runs out",
		}},

		{name: "a claim never runs out", open: leased(time.Hour), fails: []string{
			"Add puts the order's event into the outbox",
			"a claim that has run out can be claimed again, and again",
			"ClaimLease tells how long a claim lasts",
		}, more: true},

		{name: "a claim can run out once", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			var given sync.Map
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				events, err := whole.Claim(ctx, limit)
				return slices.DeleteFunc(events, func(e domain.Event) bool {
					_, again := given.LoadOrStore(e.ID, true)
					return again
				}), err
			}
		}), fails: []string{
			"a claim that has run out can be claimed again, and again",
		}, more: true},

		{name: "Add leaves the event free", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			var mu sync.Mutex
			var free []domain.Event
			f.add = func(ctx context.Context, order domain.Order) error {
				err := whole.Add(ctx, order)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					free = append(free, order.Created())
				}
				return err
			}
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				events, err := whole.Claim(ctx, limit)
				mu.Lock()
				defer mu.Unlock()
				for len(free) > 0 && len(events) < limit && err == nil {
					events, free = append(events, free[0]), free[1:]
				}
				return events, err
			}
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				mu.Lock()
				defer mu.Unlock()
				free = slices.DeleteFunc(free, func(e domain.Event) bool { return slices.Contains(ids, e.ID) })
				return whole.MarkPublished(ctx, ids...)
			}
		}), fails: []string{
			"Add holds the claim on the event until it runs out",
		}, more: true},

		{name: "each process keeps its claims to itself", open: func() porttest.Store {
			one := naive(longestFree)
			other := *one
			other.claims = map[domain.EventID]time.Time{}
			return porttest.Store{Orders: one, Outbox: one, Other: &other, Lease: lease}
		}, fails: []string{
			"Add holds the claim on the event until it runs out",
			"Claim by many at once gives no event to two, and leaves none out",
			"what is claimed stays away from everybody until the claim runs out",
		}, more: true},

		{name: "Claim looks for events, and then claims them", open: func() porttest.Store {
			n := naive(longestFree)
			n.gap = time.Millisecond
			return harness(n)
		}, fails: []string{
			"Claim by many at once gives no event to two, and leaves none out",
		}},

		{name: "Claim returns the oldest event first", open: func() porttest.Store {
			return harness(naive(func(a, b entry) int { return a.event.Time.Compare(b.event.Time) }))
		}, fails: []string{
			"Claim returns first what has been free for longest",
		}},

		{name: "Claim returns the newest event first", open: func() porttest.Store {
			return harness(naive(func(a, b entry) int { return b.event.Time.Compare(a.event.Time) }))
		}, fails: []string{
			"Claim returns first what has been free for longest",
		}},

		{name: "Claim returns events in the order in which they were added", open: func() porttest.Store {
			return harness(naive(func(a, b entry) int { return cmp.Compare(a.added, b.added) }))
		}, fails: []string{
			"Claim returns first what has been free for longest",
		}},

		{name: "Claim returns what became free last first", open: func() porttest.Store {
			return harness(naive(func(a, b entry) int { return longestFree(b, a) }))
		}, fails: []string{
			"Claim returns first what has been free for longest",
		}},

		{name: "Claim of nothing is an error", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				events, err := whole.Claim(ctx, limit)
				if err == nil && len(events) == 0 {
					err = fmt.Errorf("claim events: %w", ports.ErrNotFound)
				}
				return events, err
			}
		}), fails: []string{
			"Claim of an empty outbox returns nothing",
		}, more: true},

		{name: "Claim ignores its limit", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				if limit < 1 {
					return whole.Claim(ctx, limit)
				}
				return whole.Claim(ctx, 1000)
			}
		}), fails: []string{
			"Claim returns first what has been free for longest",
			"Claim returns no more than its limit, and leaves the others free",
		}},

		{name: "Claim claims more than it returns", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				events, err := whole.Claim(ctx, max(limit, 1000*min(limit, 1)))
				return events[:min(len(events), max(limit, 0))], err
			}
		}), fails: []string{
			"Claim returns first what has been free for longest",
			"Claim returns no more than its limit, and leaves the others free",
		}, more: true},

		{name: "a limit of nothing is none", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				if limit <= 0 {
					limit = 1000
				}
				return whole.Claim(ctx, limit)
			}
		}), fails: []string{
			"Claim with a limit below 1 claims nothing",
		}},

		{name: "Claim claims and then fails on an ended context", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				events, err := whole.Claim(context.WithoutCancel(ctx), limit)
				if ctx.Err() != nil {
					return nil, fmt.Errorf("claim events: %w", ctx.Err())
				}
				return events, err
			}
		}), fails: []string{
			"Claim with an ended context claims nothing",
		}},

		{name: "Claim hands out its own slices", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			var mu sync.Mutex
			kept := map[domain.EventID]*domain.Event{}
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				events, err := whole.Claim(ctx, limit)
				mu.Lock()
				defer mu.Unlock()
				for i := range events {
					if kept[events[i].ID] == nil {
						kept[events[i].ID] = &events[i]
					}
					events[i] = *kept[events[i].ID]
				}
				return events, err
			}
		}), fails: []string{
			"Claim leaves what it returned to the caller",
		}},

		{name: "events lose their order's fields in the outbox", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				events, err := whole.Claim(ctx, limit)
				for i := range events {
					events[i].Order.Product = ""
				}
				return events, err
			}
		}), fails: []string{
			"Add puts the order's event into the outbox",
		}, more: true},
	}
}
