package porttest_test

import (
	"cmp"
	"context"
	"errors"
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
	table := slices.Concat(brokenAdds(), brokenLists(), brokenClaims(), brokenMarks())
	checkSuite(t, porttest.StoreClauses(), func() porttest.Store { return harness(orders()) }, table)
}

// leased makes a store whose claims last for d, whatever the harness says.
func leased(d time.Duration) func() porttest.Store {
	return func() porttest.Store { return harness(&memory.Orders{Lease: d}) }
}

// naiveStore keeps its outbox as one might at first: it looks for events, and
// claims them in a second step.
type naiveStore struct {
	*memory.Orders
	lease time.Duration
	gap   time.Duration        // between the two steps
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
	var found []entry
	for _, e := range *n.entries {
		if ends := n.claims[e.event.ID]; !time.Now().Before(ends) {
			found = append(found, entry{e.event, e.added, ends})
		}
	}
	n.mu.Unlock()
	slices.SortStableFunc(found, n.pick)
	found = found[:min(max(limit, 0), len(found))]
	time.Sleep(n.gap)
	n.mu.Lock()
	defer n.mu.Unlock()
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
			"what is claimed stays away from everybody until the claim runs out",
		}},

		{name: "a claim never runs out", open: leased(time.Hour), fails: []string{
			"Add puts the order's event into the outbox",
			"a claim that has run out can be claimed again, and again",
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

func brokenMarks() []broken[porttest.Store] {
	return []broken[porttest.Store]{
		{name: "MarkPublished marks only the first", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				return whole.MarkPublished(ctx, ids[:min(len(ids), 1)]...)
			}
		}), fails: []string{
			"MarkPublished takes out every event it is given",
			"MarkPublished takes a free event out for good",
			"MarkPublished passes over ids it does not know",
			"MarkPublished takes out no other event",
		}},

		{name: "MarkPublished marks a hundred at most", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				return whole.MarkPublished(ctx, ids[:min(len(ids), 100)]...)
			}
		}), fails: []string{
			"MarkPublished takes out every event it is given",
		}},

		{name: "MarkPublished of nothing marks all", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			var mu sync.Mutex
			var added []domain.EventID
			f.add = func(ctx context.Context, order domain.Order) error {
				mu.Lock()
				defer mu.Unlock()
				added = append(added, order.Created().ID)
				return whole.Add(ctx, order)
			}
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				mu.Lock()
				defer mu.Unlock()
				if len(ids) == 0 {
					ids = added
				}
				return whole.MarkPublished(ctx, ids...)
			}
		}), fails: []string{
			"MarkPublished takes out no other event",
		}},

		{name: "MarkPublished fails on ids it does not know", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.mark = knowing(whole, f, func(ctx context.Context, known, unknown []domain.EventID) error {
				if len(unknown) > 0 {
					return fmt.Errorf("mark %s published: %w", unknown[0], ports.ErrNotFound)
				}
				return whole.MarkPublished(ctx, known...)
			})
		}), fails: []string{
			"MarkPublished passes over ids it does not know",
			"MarkPublished may be repeated",
		}},

		{name: "MarkPublished marks nothing beside an id it does not know", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.mark = knowing(whole, f, func(ctx context.Context, known, unknown []domain.EventID) error {
				if len(unknown) > 0 {
					return nil
				}
				return whole.MarkPublished(ctx, known...)
			})
		}), fails: []string{
			"MarkPublished passes over ids it does not know",
		}},

		{name: "MarkPublished marks only what is claimed", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			var mu sync.Mutex
			claimed := map[domain.EventID]time.Time{}
			f.add = func(ctx context.Context, order domain.Order) error {
				mu.Lock()
				defer mu.Unlock()
				claimed[order.Created().ID] = time.Now()
				return whole.Add(ctx, order)
			}
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				mu.Lock()
				defer mu.Unlock()
				events, err := whole.Claim(ctx, limit)
				for _, e := range events {
					claimed[e.ID] = time.Now()
				}
				return events, err
			}
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				mu.Lock()
				defer mu.Unlock()
				return whole.MarkPublished(ctx, slices.DeleteFunc(slices.Clone(ids), func(id domain.EventID) bool {
					return time.Since(claimed[id]) > lease
				})...)
			}
		}), fails: []string{
			"MarkPublished takes a free event out for good",
		}},

		{name: "MarkPublished marks only what the same process claimed", open: func() porttest.Store {
			one := orders()
			other := &faultyStore{store: one}
			other.mark = func(ctx context.Context, ids ...domain.EventID) error { return ctx.Err() }
			return porttest.Store{Orders: one, Outbox: one, Other: other, Lease: lease}
		}, fails: []string{
			"MarkPublished takes a claimed event out for good",
		}, more: true},

		{name: "MarkPublished claims once more", open: func() porttest.Store {
			n := naive(longestFree)
			f := &faultyStore{store: n}
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				n.mu.Lock()
				defer n.mu.Unlock()
				for _, id := range ids {
					if _, ok := n.claims[id]; ok && ctx.Err() == nil {
						n.claims[id] = time.Now().Add(lease)
					}
				}
				return ctx.Err()
			}
			return harness(f)
		}, fails: []string{
			"MarkPublished takes a claimed event out for good",
			"MarkPublished takes a free event out for good",
		}, more: true},

		{name: "MarkPublished takes the order away too", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			var gone sync.Map
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				for _, id := range ids {
					if order, ok := id.OrderID(); ok && ctx.Err() == nil {
						gone.Store(order, true)
					}
				}
				return whole.MarkPublished(ctx, ids...)
			}
			f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
				if _, ok := gone.Load(id); ok {
					return domain.Order{}, fmt.Errorf("get order %s: %w", id, ports.ErrNotFound)
				}
				return whole.Get(ctx, id)
			}
		}), fails: []string{
			"MarkPublished leaves the order as it is",
			"Methods may be called from several goroutines at once",
		}},

		{name: "MarkPublished marks and then fails on an ended context", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				return errors.Join(ctx.Err(), whole.MarkPublished(context.WithoutCancel(ctx), ids...))
			}
		}), fails: []string{
			"MarkPublished with an ended context marks nothing",
		}},

		{name: "MarkPublished keeps the slice for later", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				time.AfterFunc(10*time.Millisecond, func() { whole.MarkPublished(context.WithoutCancel(ctx), ids...) })
				return whole.MarkPublished(ctx, ids...)
			}
		}), fails: []string{
			"MarkPublished leaves the slice to the caller",
			"MarkPublished with an ended context marks nothing",
		}},
	}
}

// knowing splits the ids that mark is given by whether they are in the outbox.
func knowing(whole *memory.Orders, f *faultyStore, mark func(ctx context.Context, known, unknown []domain.EventID) error) func(context.Context, ...domain.EventID) error {
	var mu sync.Mutex
	waiting := map[domain.EventID]bool{}
	f.add = func(ctx context.Context, order domain.Order) error {
		err := whole.Add(ctx, order)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			waiting[order.Created().ID] = true
		}
		return err
	}
	return func(ctx context.Context, ids ...domain.EventID) error {
		mu.Lock()
		defer mu.Unlock()
		var known, unknown []domain.EventID
		for _, id := range ids {
			if waiting[id] {
				known = append(known, id)
			} else {
				unknown = append(unknown, id)
			}
		}
		err := mark(ctx, known, unknown)
		if err == nil && len(unknown) == 0 {
			for _, id := range known {
				delete(waiting, id)
			}
		}
		return err
	}
}
