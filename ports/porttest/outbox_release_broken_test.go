package porttest_test

import (
	"context"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports/porttest"
)

func brokenReleases() []broken[porttest.Store] {
	releasing := func(release func(f *faultyStore, ctx context.Context, until time.Time, ids []domain.EventID) error) func() porttest.Store {
		return faulty(func(f *faultyStore) {
			f.release = func(ctx context.Context, until time.Time, ids ...domain.EventID) error {
				return release(f, ctx, until, ids)
			}
		})
	}
	const (
		until = "Release keeps events from Claim until the given time, even beyond a lease"
		past  = "Release at a past time frees an event at once"
		both  = "it neither keeps events away nor frees them"
	)
	return []broken[porttest.Store]{
		{"Release does nothing", until, both, releasing(func(_ *faultyStore, ctx context.Context, _ time.Time, _ []domain.EventID) error {
			return ctx.Err()
		})},
		{"Release claims again", until, both, releasing(func(f *faultyStore, ctx context.Context, _ time.Time, ids []domain.EventID) error {
			return f.store.Release(ctx, time.Now().Add(lease), ids...)
		})},
		{"Release removes the event", until, both, releasing(func(f *faultyStore, ctx context.Context, _ time.Time, ids []domain.EventID) error {
			return f.store.MarkPublished(ctx, ids...)
		})},
		{"Release at a past time waits for the lease", past, "", releasing(func(f *faultyStore, ctx context.Context, until time.Time, ids []domain.EventID) error {
			if until.Before(time.Now()) {
				return ctx.Err()
			}
			return f.store.Release(ctx, until, ids...)
		})},
		{"Release releases only the first", until, "other clauses release several events", releasing(func(f *faultyStore, ctx context.Context, until time.Time, ids []domain.EventID) error {
			return f.store.Release(ctx, until, ids[:min(len(ids), 1)]...)
		})},
		{"Release releases five at most", "Release of some events until later lets Claim return the others", "", releasing(func(f *faultyStore, ctx context.Context, until time.Time, ids []domain.EventID) error {
			return f.store.Release(ctx, until, ids[:min(len(ids), 5)]...)
		})},
		{"Release puts unknown events into the outbox", "Release puts nothing into the outbox", "", faultyNaive(func(n *naiveStore, f *faultyStore) {
			f.release = func(ctx context.Context, until time.Time, ids ...domain.EventID) error {
				for _, id := range ids {
					of, _ := id.OrderID()
					if order, err := n.Get(ctx, of); err == nil {
						n.mu.Lock()
						if _, waits := n.entries[id]; !waits {
							n.entries[id] = entry{event: order.Created(), added: len(n.entries)}
						}
						n.mu.Unlock()
					}
				}
				return n.Release(ctx, until, ids...)
			}
		})},
		{"Release releases and then fails on an ended context", "Release with an ended context releases nothing", "", faulty(func(f *faultyStore) { checkContextLast(&f.release) })},
	}
}
