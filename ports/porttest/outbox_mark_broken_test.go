package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

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
			var mu sync.Mutex
			var kept []domain.EventID
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				mu.Lock()
				defer mu.Unlock()
				kept = ids
				return whole.MarkPublished(ctx, ids...)
			}
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				mu.Lock()
				defer mu.Unlock()
				if err := whole.MarkPublished(ctx, kept...); err != nil {
					return nil, err
				}
				return whole.Claim(ctx, limit)
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
