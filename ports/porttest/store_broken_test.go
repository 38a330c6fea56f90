package porttest_test

import (
	"context"
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
	table := slices.Concat(brokenAdds(), brokenLists(), brokenClaims(), brokenMarks(), brokenReleases(), brokenOutboxAccounts())
	checkSuite(t, porttest.StoreClauses(), leased(lease), table)
}

type store interface {
	ports.OrderRepository
	ports.Outbox
}

// faultyStore is a store with functions instead of methods. A row replaces
// one of them, and calls the store's own method through the embedded store.
type faultyStore struct {
	store
	add     func(ctx context.Context, order domain.Order, origin domain.Origin) error
	get     func(ctx context.Context, id domain.OrderID) (domain.Order, error)
	list    func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error)
	claim   func(ctx context.Context, limit int) ([]domain.Event, error)
	mark    func(ctx context.Context, ids ...domain.EventID) error
	release func(ctx context.Context, until time.Time, ids ...domain.EventID) error
	account func(ctx context.Context) (ports.OutboxAccount, error)
	holder  func(ctx context.Context, id domain.EventID) (ports.Holder, error)
}

func (f *faultyStore) Add(ctx context.Context, order domain.Order, origin domain.Origin) error {
	return f.add(ctx, order, origin)
}

func (f *faultyStore) Get(ctx context.Context, id domain.OrderID) (domain.Order, error) {
	return f.get(ctx, id)
}

func (f *faultyStore) List(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
	return f.list(ctx, query)
}

func (f *faultyStore) Claim(ctx context.Context, limit int) ([]domain.Event, error) {
	return f.claim(ctx, limit)
}

func (f *faultyStore) MarkPublished(ctx context.Context, ids ...domain.EventID) error {
	return f.mark(ctx, ids...)
}

func (f *faultyStore) Release(ctx context.Context, until time.Time, ids ...domain.EventID) error {
	return f.release(ctx, until, ids...)
}

func (f *faultyStore) Account(ctx context.Context) (ports.OutboxAccount, error) {
	return f.account(ctx)
}

func (f *faultyStore) Holder(ctx context.Context, id domain.EventID) (ports.Holder, error) {
	return f.holder(ctx, id)
}

func newFaultyStore(s store) *faultyStore {
	return &faultyStore{s, s.Add, s.Get, s.List, s.Claim, s.MarkPublished, s.Release, s.Account, s.Holder}
}

func harness(s store) porttest.Store {
	return porttest.Store{Orders: s, Outbox: s, Other: s, Lease: lease}
}

// leased makes a whole store whose claims last for d, instead of the Lease that the
// clauses get.
func leased(d time.Duration) func() porttest.Store {
	return func() porttest.Store { return harness(&memory.Orders{Lease: d}) }
}

// faulty makes a store that breakIt breaks.
func faulty(breakIt func(f *faultyStore)) func() porttest.Store {
	return func() porttest.Store {
		f := newFaultyStore(&memory.Orders{Lease: lease})
		breakIt(f)
		return harness(f)
	}
}

// faultyNaive makes a naive store that breakIt breaks.
func faultyNaive(breakIt func(n *naiveStore, f *faultyStore)) func() porttest.Store {
	return func() porttest.Store {
		n := newNaiveStore()
		f := newFaultyStore(n)
		breakIt(n, f)
		return harness(f)
	}
}

// naiveStore keeps its outbox in the simplest way: a map of events, and the time when
// each claim runs out.
type naiveStore struct {
	*memory.Orders
	lease time.Duration
	gap   time.Duration        // between finding events and claiming them
	less  func(a, b entry) int // which events are claimed first

	mu      *sync.Mutex
	entries map[domain.EventID]entry     // in the outbox
	claims  map[domain.EventID]time.Time // when each claim runs out
}

type entry struct {
	event domain.Event
	added int
	free  time.Time
}

func newNaiveStore() *naiveStore {
	return &naiveStore{
		Orders: &memory.Orders{Lease: lease}, lease: lease, less: longestFree,
		mu: new(sync.Mutex), entries: map[domain.EventID]entry{}, claims: map[domain.EventID]time.Time{},
	}
}

func longestFree(a, b entry) int { return a.free.Compare(b.free) }

func (n *naiveStore) Add(ctx context.Context, order domain.Order, origin domain.Origin) error {
	err := n.Orders.Add(ctx, order, origin)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		event := order.Created()
		event.Origin = origin.Valid()
		n.claims[event.ID] = time.Now().Add(n.lease)
		n.entries[event.ID] = entry{event: event, added: len(n.entries)}
	}
	return err
}

func (n *naiveStore) Claim(ctx context.Context, limit int) (events []domain.Event, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var found []entry
	for id, e := range n.entries {
		if e.free = n.claims[id]; !time.Now().Before(e.free) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, n.less)
	if n.gap > 0 {
		n.mu.Unlock()
		time.Sleep(n.gap)
		n.mu.Lock()
	}
	for _, e := range found[:min(max(limit, 0), len(found))] {
		n.claims[e.event.ID] = time.Now().Add(n.lease)
		events = append(events, e.event)
	}
	return events, nil
}

func (n *naiveStore) MarkPublished(ctx context.Context, ids ...domain.EventID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range ids {
		if ctx.Err() == nil {
			delete(n.entries, id)
		}
	}
	return ctx.Err()
}

func (n *naiveStore) Release(ctx context.Context, until time.Time, ids ...domain.EventID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range ids {
		if ctx.Err() == nil {
			n.claims[id] = until
		}
	}
	return ctx.Err()
}
