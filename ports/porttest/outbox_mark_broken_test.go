package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// marking makes a store whose MarkPublished changes the ids.
func marking(change func(ids []domain.EventID) []domain.EventID) func() porttest.Store {
	return faulty(func(f *faultyStore) {
		f.mark = func(ctx context.Context, ids ...domain.EventID) error {
			return f.store.MarkPublished(ctx, change(ids)...)
		}
	})
}

// knowing makes a store whose MarkPublished distinguishes known and unknown ids.
func knowing(mark func(ctx context.Context, f *faultyStore, known, unknown []domain.EventID) error) func() porttest.Store {
	return faulty(func(f *faultyStore) {
		var mu sync.Mutex
		waiting := map[domain.EventID]bool{}
		f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
			err := f.store.Add(ctx, order, origin)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				waiting[order.Created().ID] = true
			}
			return err
		}
		f.mark = func(ctx context.Context, ids ...domain.EventID) error {
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
			err := mark(ctx, f, known, unknown)
			if err == nil && len(unknown) == 0 {
				for _, id := range known {
					delete(waiting, id)
				}
			}
			return err
		}
	})
}

func brokenMarks() []broken[porttest.Store] {
	const (
		every   = "MarkPublished removes every event of a call"
		claimed = "MarkPublished removes a claimed event permanently"
		free    = "MarkPublished removes a free event permanently"
		unknown = "MarkPublished ignores unknown ids"
		ended   = "MarkPublished with an ended context marks nothing"
		several = "other clauses mark several events"
	)
	return []broken[porttest.Store]{
		{"MarkPublished marks only the first", every, several, marking(func(ids []domain.EventID) []domain.EventID {
			return ids[:min(len(ids), 1)]
		})},
		{"MarkPublished marks a hundred at most", every, "", marking(func(ids []domain.EventID) []domain.EventID {
			return ids[:min(len(ids), 100)]
		})},
		{"MarkPublished of nothing marks all", "MarkPublished removes no other event", "", faulty(func(f *faultyStore) {
			var mu sync.Mutex
			var added []domain.EventID
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				mu.Lock()
				defer mu.Unlock()
				added = append(added, order.Created().ID)
				return f.store.Add(ctx, order, origin)
			}
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				mu.Lock()
				defer mu.Unlock()
				if len(ids) == 0 {
					ids = added
				}
				return f.store.MarkPublished(ctx, ids...)
			}
		})},
		{"MarkPublished fails on unknown ids", unknown, "a repeat has unknown ids", knowing(func(ctx context.Context, f *faultyStore, known, unknown []domain.EventID) error {
			if len(unknown) > 0 {
				return fmt.Errorf("mark %s published: %w", unknown[0], ports.ErrNotFound)
			}
			return f.store.MarkPublished(ctx, known...)
		})},
		{"MarkPublished refuses an id twice", "MarkPublished may be repeated", "", faulty(func(f *faultyStore) {
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				if len(ids) != len(slices.Compact(slices.Clone(ids))) {
					return errors.New("mark events published: the same id twice")
				}
				return f.store.MarkPublished(ctx, ids...)
			}
		})},
		{"MarkPublished marks nothing if one id is unknown", unknown, "", knowing(func(ctx context.Context, f *faultyStore, known, unknown []domain.EventID) error {
			if len(unknown) > 0 {
				return nil
			}
			return f.store.MarkPublished(ctx, known...)
		})},
		{"MarkPublished marks only claimed events", free, "", faulty(func(f *faultyStore) {
			var claimed shared[domain.EventID, time.Time]
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				claimed.set(order.Created().ID, time.Now())
				return f.store.Add(ctx, order, origin)
			}
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				events, err := f.store.Claim(ctx, limit)
				for _, e := range events {
					claimed.set(e.ID, time.Now())
				}
				return events, err
			}
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				return f.store.MarkPublished(ctx, slices.DeleteFunc(slices.Clone(ids), func(id domain.EventID) bool {
					at, _ := claimed.get(id)
					return time.Since(at) > lease
				})...)
			}
		})},
		{"MarkPublished marks only events that the same process claimed", claimed, "another process marks in other clauses too", func() porttest.Store {
			s := leased(lease)()
			other := newFaultyStore(s.Orders.(store))
			other.mark = func(ctx context.Context, ids ...domain.EventID) error { return ctx.Err() }
			s.Other = other
			return s
		}},
		{"MarkPublished claims again", claimed, "every clause that marks", faultyNaive(func(n *naiveStore, f *faultyStore) {
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				return n.Release(ctx, time.Now().Add(lease), ids...)
			}
		})},
		{"MarkPublished removes the order too", "MarkPublished leaves the order as it is", "the clause of many callers reads marked orders", faulty(func(f *faultyStore) {
			var gone shared[domain.OrderID, bool]
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				for _, id := range ids {
					if order, ok := id.OrderID(); ok && ctx.Err() == nil {
						gone.set(order, true)
					}
				}
				return f.store.MarkPublished(ctx, ids...)
			}
			f.get = hiding(f, &gone)
		})},
		{"MarkPublished marks and then fails on an ended context", ended, "", faulty(func(f *faultyStore) { checkContextLast(&f.mark) })},
		{"MarkPublished ignores its context", ended, "", faulty(func(f *faultyStore) { ignoreContext(&f.mark) })},
		{"MarkPublished keeps the slice for later", "MarkPublished shares no memory with its caller", "ids of an ended call are marked later", faulty(func(f *faultyStore) {
			var mu sync.Mutex
			var kept []domain.EventID
			f.mark = func(ctx context.Context, ids ...domain.EventID) error {
				mu.Lock()
				defer mu.Unlock()
				kept = ids
				return f.store.MarkPublished(ctx, ids...)
			}
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				mu.Lock()
				defer mu.Unlock()
				if err := f.store.MarkPublished(ctx, kept...); err != nil {
					return nil, err
				}
				return f.store.Claim(ctx, limit)
			}
		})},
	}
}
