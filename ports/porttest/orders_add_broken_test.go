package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// brokenAdds have a fault in Add, Get or in what both stand on.
func brokenAdds() []broken[porttest.Store] {
	return []broken[porttest.Store]{
		{name: "Add forgets the outbox", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order) error {
				return errors.Join(whole.Add(ctx, order), whole.MarkPublished(context.WithoutCancel(ctx), order.Created().ID))
			}
		}), fails: []string{
			"Add puts the order's event into the outbox",
		}, more: true},

		{name: "Add answers before it writes", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order) error {
				time.AfterFunc(time.Millisecond, func() { whole.Add(ctx, order) })
				return ctx.Err()
			}
		}), fails: []string{
			"Add keeps an order, and Get returns it with every field as it was added",
			"Add keeps the order although its context ends afterwards",
		}, more: true},

		{name: "Add takes back what it wrote when its context ends", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			var gone sync.Map
			f.add = func(ctx context.Context, order domain.Order) error {
				err := whole.Add(ctx, order)
				time.AfterFunc(10*time.Millisecond, func() {
					if err == nil && ctx.Err() != nil {
						gone.Store(order.ID, true)
					}
				})
				return err
			}
			f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
				if _, ok := gone.Load(id); ok {
					return domain.Order{}, fmt.Errorf("get order %s: %w", id, ports.ErrNotFound)
				}
				return whole.Get(ctx, id)
			}
		}), fails: []string{
			"Add keeps the order although its context ends afterwards",
		}},

		{name: "Add of several ends with the first one's context", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			var mu sync.Mutex
			var first context.Context // of those that are gathered; nil: none are
			f.add = func(ctx context.Context, order domain.Order) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				mu.Lock()
				wait := time.Millisecond
				if first == nil {
					first = ctx
					time.AfterFunc(wait, func() {
						mu.Lock()
						defer mu.Unlock()
						first = nil
					})
				} else {
					wait *= 2 // until the first has been answered, and its context has ended
				}
				all := first
				mu.Unlock()
				time.Sleep(wait)
				return whole.Add(all, order)
			}
		}), fails: []string{
			"Add whose context ends in the middle disturbs no other, and Add again settles it",
		}},

		{name: "Add that is given up leaves the order without its event", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				select {
				case <-time.After(5 * time.Millisecond):
					return whole.Add(ctx, order)
				case <-ctx.Done():
					own := context.WithoutCancel(ctx)
					return errors.Join(ctx.Err(), whole.Add(own, order), whole.MarkPublished(own, order.Created().ID))
				}
			}
		}), fails: []string{
			"Add whose context ends in the middle disturbs no other, and Add again settles it",
		}},

		{name: "Add overwrites, and says nothing", open: overwriting(nil), fails: []string{
			"Add answers each of many callers for its own order",
			"Add by many at once keeps one order of an id, and tells the others",
			"Add refuses an id that is kept already, and leaves what is there",
			"a refused Add does not bring back an event that was published",
		}},

		{name: "Add overwrites, and says that it has not", open: overwriting(ports.ErrExists), fails: []string{
			"Add by many at once keeps one order of an id, and tells the others",
			"Add refuses an id that is kept already, and leaves what is there",
		}},

		{name: "Add passes over what is there", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order) error {
				if err := whole.Add(ctx, order); !errors.Is(err, ports.ErrExists) {
					return err
				}
				return nil
			}
		}), fails: []string{
			"Add answers each of many callers for its own order",
			"Add by many at once keeps one order of an id, and tells the others",
			"Add refuses an id that is kept already, and leaves what is there",
			"a refused Add does not bring back an event that was published",
		}},

		{name: "Add looks whether the id is there, and then writes", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order) error {
				if _, err := whole.Get(ctx, order.ID); err == nil {
					return fmt.Errorf("add order %s: %w", order.ID, ports.ErrExists)
				}
				time.Sleep(time.Millisecond)
				if err := whole.Add(ctx, order); !errors.Is(err, ports.ErrExists) {
					return err
				}
				return nil
			}
		}), fails: []string{
			"Add by many at once keeps one order of an id, and tells the others",
		}},

		{name: "Add gives all callers of a batch one answer", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			type batch struct{ err error }
			var mu sync.Mutex
			var next *batch
			f.add = func(ctx context.Context, order domain.Order) error {
				mu.Lock()
				if next == nil {
					next = new(batch)
					time.AfterFunc(time.Millisecond, func() {
						mu.Lock()
						defer mu.Unlock()
						next = nil
					})
				}
				mine := next
				if err := whole.Add(ctx, order); err != nil {
					mine.err = err
				}
				mu.Unlock()
				time.Sleep(2 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				return mine.err
			}
		}), fails: []string{
			"Add answers each of many callers for its own order",
			"Add by many at once keeps one order of an id, and tells the others",
		}, more: true}, // a caller that gives up is in a batch with others only by scheduling

		{name: "a refused Add puts the event into the outbox again", open: refusedButFree(func(o domain.Order) domain.Event { return o.Created() }), fails: []string{
			"Add by many at once keeps one order of an id, and tells the others",
			"Add refuses an id that is kept already, and leaves what is there",
			"a refused Add does not bring back an event that was published",
		}},

		{name: "Add keeps the order and then fails on an ended context", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order) error {
				return errors.Join(ctx.Err(), whole.Add(context.WithoutCancel(ctx), order))
			}
		}), fails: []string{
			"Add with an ended context keeps neither the order nor its event",
		}},

		{name: "no method looks at its context", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order) error {
				return whole.Add(context.WithoutCancel(ctx), order)
			}
			f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
				return whole.Get(context.WithoutCancel(ctx), id)
			}
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				return whole.List(context.WithoutCancel(ctx), query)
			}
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				return whole.Claim(context.WithoutCancel(ctx), limit)
			}
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				return whole.MarkPublished(context.WithoutCancel(ctx), ids...)
			}
		}), fails: []string{
			"Add with an ended context keeps neither the order nor its event",
			"Get and List with an ended context say so",
			"Claim with an ended context claims nothing",
			"MarkPublished with an ended context marks nothing",
		}},

		{name: "Get finds an empty order under every id", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
				order, err := whole.Get(ctx, id)
				if errors.Is(err, ports.ErrNotFound) {
					return domain.Order{}, nil
				}
				return order, err
			}
		}), fails: []string{
			"Add with an ended context keeps neither the order nor its event",
			"Get finds nothing under an id that was not added",
		}},

		{name: "errors do not say what was attempted", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order) error {
				err := whole.Add(ctx, order)
				if errors.Is(err, ports.ErrExists) {
					return ports.ErrExists
				}
				return err
			}
			f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
				order, err := whole.Get(ctx, id)
				if errors.Is(err, ports.ErrNotFound) {
					return order, ports.ErrNotFound
				}
				return order, err
			}
		}), fails: []string{
			"Add refuses an id that is kept already, and leaves what is there",
			"Add with an ended context keeps neither the order nor its event",
			"Get finds nothing under an id that was not added",
			"a refused Add does not bring back an event that was published",
		}},

		{name: "texts are cut to a length in bytes", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
				order, err := whole.Get(ctx, id)
				order.Product = order.Product[:min(len(order.Product), domain.MaxProduct)]
				return order, err
			}
		}), fails: []string{
			"Add keeps an order, and Get returns it with every field as it was added",
		}},

		{name: "times are kept to the second", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
				order, err := whole.Get(ctx, id)
				order.CreatedAt = order.CreatedAt.Truncate(time.Second)
				return order, err
			}
		}), fails: []string{
			"Add keeps an order, and Get returns it with every field as it was added",
		}},

		{name: "times are returned in local time", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
				order, err := whole.Get(ctx, id)
				if err == nil {
					order.CreatedAt = order.CreatedAt.In(time.FixedZone("CET", 3600))
				}
				return order, err
			}
		}), fails: []string{
			"Add keeps an order, and Get returns it with every field as it was added",
		}, more: true},

		{name: "Claim fails beside an Add", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			var adding atomic.Int64
			f.add = func(ctx context.Context, order domain.Order) error {
				adding.Add(1)
				defer adding.Add(-1)
				time.Sleep(time.Millisecond)
				return whole.Add(ctx, order)
			}
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				if adding.Load() > 0 {
					return nil, errors.New("claim events: busy")
				}
				return whole.Claim(ctx, limit)
			}
		}), fails: []string{
			"Methods may be called from several goroutines at once",
		}},
	}
}

// overwriting makes a store whose Add replaces an order of the same id, and
// returns answer.
func overwriting(answer error) func() porttest.Store {
	return faulty(func(whole *memory.Orders, f *faultyStore) {
		var over sync.Map
		f.add = func(ctx context.Context, order domain.Order) error {
			err := whole.Add(ctx, order)
			if errors.Is(err, ports.ErrExists) {
				over.Store(order.ID, order)
				if answer == nil {
					return nil
				}
			}
			return err
		}
		f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
			if order, ok := over.Load(id); ok {
				return order.(domain.Order), nil
			}
			return whole.Get(ctx, id)
		}
	})
}

// refusedButFree makes a store whose Add, when it refuses an order, puts an
// event into the outbox all the same.
func refusedButFree(event func(domain.Order) domain.Event) func() porttest.Store {
	return faulty(func(whole *memory.Orders, f *faultyStore) {
		var mu sync.Mutex
		var free []domain.Event
		f.add = func(ctx context.Context, order domain.Order) error {
			err := whole.Add(ctx, order)
			if errors.Is(err, ports.ErrExists) {
				mu.Lock()
				defer mu.Unlock()
				free = append(free, event(order))
			}
			return err
		}
		f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
			events, err := whole.Claim(ctx, limit)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && limit > len(events) {
				n := min(limit-len(events), len(free))
				events, free = append(events, free[:n]...), free[n:]
			}
			return events, err
		}
	})
}
