package porttest_test

import (
	"context"
	"errors"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports/porttest"
)

func brokenPostpones() []broken[porttest.Store] {
	type putFunc = func(ctx context.Context, until time.Time, ids ...domain.EventID) error
	postponing := func(put func(whole *memory.Orders) putFunc) func() porttest.Store {
		return faulty(func(whole *memory.Orders, f *faultyStore) { f.put = put(whole) })
	}
	return []broken[porttest.Store]{
		{name: "Postpone does nothing", open: postponing(func(*memory.Orders) putFunc {
			return func(ctx context.Context, _ time.Time, _ ...domain.EventID) error { return ctx.Err() }
		}), fails: []string{
			"what is postponed stays away until then, longer than a claim",
			"what is postponed holds up nobody",
			"Postpone to the past frees an event at once",
		}},

		{name: "Postpone claims once more", open: postponing(func(whole *memory.Orders) putFunc {
			return func(ctx context.Context, _ time.Time, ids ...domain.EventID) error {
				return whole.Release(ctx, time.Now().Add(lease), ids...)
			}
		}), fails: []string{
			"what is postponed stays away until then, longer than a claim",
			"Postpone to the past frees an event at once",
		}},

		{name: "Postpone takes out for good", open: postponing(func(whole *memory.Orders) putFunc {
			return func(ctx context.Context, _ time.Time, ids ...domain.EventID) error {
				return whole.MarkPublished(ctx, ids...)
			}
		}), fails: []string{
			"what is postponed stays away until then, longer than a claim",
			"Postpone to the past frees an event at once",
		}},

		{name: "Postpone puts off only the first", open: postponing(func(whole *memory.Orders) putFunc {
			return func(ctx context.Context, until time.Time, ids ...domain.EventID) error {
				return whole.Release(ctx, until, ids[:min(len(ids), 1)]...)
			}
		}), fails: []string{
			"what is postponed stays away until then, longer than a claim",
			"what is postponed holds up nobody",
		}},

		{name: "Postpone puts events in", open: func() porttest.Store {
			n := naive(longestFree)
			f := &faultyStore{store: n}
			f.put = func(ctx context.Context, until time.Time, ids ...domain.EventID) error {
				if err := n.Release(ctx, until, ids...); err != nil {
					return err
				}
				n.mu.Lock()
				defer n.mu.Unlock()
				for _, id := range ids {
					of, _ := id.OrderID()
					if order, err := n.Get(ctx, of); err == nil {
						*n.entries = append(*n.entries, &entry{event: order.Created(), added: len(*n.entries)})
					}
				}
				return nil
			}
			return harness(f)
		}, fails: []string{
			"Postpone puts nothing into the outbox",
		}, more: true},

		{name: "Postpone postpones and then fails on an ended context", open: postponing(func(whole *memory.Orders) putFunc {
			return func(ctx context.Context, until time.Time, ids ...domain.EventID) error {
				return errors.Join(ctx.Err(), whole.Release(context.WithoutCancel(ctx), until, ids...))
			}
		}), fails: []string{
			"Postpone with an ended context postpones nothing",
		}},
	}
}
