package porttest_test

import (
	"context"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

type store interface {
	ports.OrderRepository
	ports.Outbox
}

func orders() *memory.Orders { return &memory.Orders{Lease: lease} }

func harness(s store) porttest.Store {
	return porttest.Store{Orders: s, Outbox: s, Other: s, Lease: lease}
}

// The faults are put in by functions that stand in for a method of a whole
// store.
type faultyStore struct {
	store
	add   func(ctx context.Context, order domain.Order) error
	get   func(ctx context.Context, id domain.OrderID) (domain.Order, error)
	list  func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error)
	claim func(ctx context.Context, limit int) ([]domain.Event, error)
	mark  func(ctx context.Context, ids ...domain.EventID) error
	put   func(ctx context.Context, until time.Time, ids ...domain.EventID) error
}

func (f *faultyStore) Add(ctx context.Context, order domain.Order) error {
	if f.add != nil {
		return f.add(ctx, order)
	}
	return f.store.Add(ctx, order)
}

func (f *faultyStore) Get(ctx context.Context, id domain.OrderID) (domain.Order, error) {
	if f.get != nil {
		return f.get(ctx, id)
	}
	return f.store.Get(ctx, id)
}

func (f *faultyStore) List(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
	if f.list != nil {
		return f.list(ctx, query)
	}
	return f.store.List(ctx, query)
}

func (f *faultyStore) Claim(ctx context.Context, limit int) ([]domain.Event, error) {
	if f.claim != nil {
		return f.claim(ctx, limit)
	}
	return f.store.Claim(ctx, limit)
}

func (f *faultyStore) MarkPublished(ctx context.Context, ids ...domain.EventID) error {
	if f.mark != nil {
		return f.mark(ctx, ids...)
	}
	return f.store.MarkPublished(ctx, ids...)
}

func (f *faultyStore) Release(ctx context.Context, until time.Time, ids ...domain.EventID) error {
	if f.put != nil {
		return f.put(ctx, until, ids...)
	}
	return f.store.Release(ctx, until, ids...)
}

func faulty(breakIt func(whole *memory.Orders, f *faultyStore)) func() porttest.Store {
	return func() porttest.Store {
		whole := orders()
		f := &faultyStore{store: whole}
		breakIt(whole, f)
		return harness(f)
	}
}
