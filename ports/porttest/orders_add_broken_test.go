package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

const (
	keepsOrigin = "Add keeps the origin with the event, without the fields that break a rule"
	everyOutbox = "every clause that looks into the outbox"
	everyOrder  = "every clause that reads an order"
)

// brokenAdds returns stores with a fault in Add or Get.
func brokenAdds() []broken[porttest.Store] {
	return []broken[porttest.Store]{
		{"Add forgets the outbox", "Add puts the order's event into the outbox", everyOutbox, faulty(func(f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				return errors.Join(f.store.Add(ctx, order, origin), f.store.MarkPublished(context.WithoutCancel(ctx), order.Created().ID))
			}
		})},
		{"Add forgets the origin", keepsOrigin, everyOutbox, faulty(func(f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order, _ domain.Origin) error {
				return f.store.Add(ctx, order, domain.Origin{})
			}
		})},
		{"Add refuses an origin that breaks a rule", keepsOrigin, "", faulty(func(f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				if origin != origin.Valid() {
					return fmt.Errorf("add order %s: its origin breaks a rule", order.ID)
				}
				return f.store.Add(ctx, order, origin)
			}
		})},
		{"a claimed event loses its origin", keepsOrigin, "events are claimed again elsewhere, too", func() porttest.Store {
			var given shared[domain.EventID, bool]
			return claiming(func(events []domain.Event) []domain.Event {
				for i := range events {
					if _, known := given.once(events[i].ID, true); known {
						events[i].Origin = domain.Origin{}
					}
				}
				return events
			})()
		}},
		{"Add keeps an origin that breaks a rule", keepsOrigin, "", func() porttest.Store {
			var origins shared[domain.EventID, domain.Origin]
			return faulty(func(f *faultyStore) {
				f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
					origins.once(order.Created().ID, origin)
					return f.store.Add(ctx, order, origin)
				}
				f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
					events, err := f.store.Claim(ctx, limit)
					for i := range events {
						events[i].Origin, _ = origins.get(events[i].ID)
					}
					return events, err
				}
			})()
		}},
		{"Add answers before it writes", "Add keeps an order, and Get returns it with every field as it was added", "every clause that adds an order", faulty(func(f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				time.AfterFunc(time.Millisecond, func() { f.store.Add(ctx, order, origin) })
				return ctx.Err()
			}
		})},
		{"Add removes the order when its context ends", "Add keeps the order although its context ends afterwards", "", faulty(func(f *faultyStore) {
			var gone shared[domain.OrderID, bool]
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				err := f.store.Add(ctx, order, origin)
				time.AfterFunc(10*time.Millisecond, func() {
					if err == nil && ctx.Err() != nil {
						gone.set(order.ID, true)
					}
				})
				return err
			}
			f.get = hiding(f, &gone)
		})},
		{"Add of several orders ends with the first one's context", "Add whose context ends during the call does not affect other calls, and can be repeated", "", faulty(func(f *faultyStore) {
			var mu sync.Mutex
			var first context.Context // of the gathered calls; nil: no call
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
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
					wait *= 2 // until the first call has returned and its context has ended
				}
				all := first
				mu.Unlock()
				time.Sleep(wait)
				return f.store.Add(all, order, origin)
			}
		})},
		{"Add whose context ends leaves the order without its event", "Add whose context ends during the call does not affect other calls, and can be repeated", "", faulty(func(f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				select {
				case <-time.After(5 * time.Millisecond):
					return f.store.Add(ctx, order, origin)
				case <-ctx.Done():
					own := context.WithoutCancel(ctx)
					return errors.Join(ctx.Err(), f.store.Add(own, order, origin), f.store.MarkPublished(own, order.Created().ID))
				}
			}
		})},
		{"Add overwrites, and returns nil", "Add refuses a known id, and leaves the order as it is", "every clause that adds an order again", overwriting(nil)},

		{"Add overwrites, and returns ErrExists", "Add refuses a known id, and leaves the order as it is", "the clause of many callers overwrites too", overwriting(ports.ErrExists)},
		{"Add ignores a known id, and returns nil", "Add answers each of many callers for its own order", "every clause that adds an order again", faulty(func(f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				if err := f.store.Add(ctx, order, origin); !errors.Is(err, ports.ErrExists) {
					return err
				}
				return nil
			}
		})},
		{"Add looks for the id, and then writes", "Add of one id by many callers keeps one order, and refuses the others", "", faulty(func(f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				if _, err := f.store.Get(ctx, order.ID); err == nil {
					return fmt.Errorf("add order %s: %w", order.ID, ports.ErrExists)
				}
				time.Sleep(time.Millisecond)
				if err := f.store.Add(ctx, order, origin); !errors.Is(err, ports.ErrExists) {
					return err
				}
				return nil
			}
		})},
		{"Add gives all callers of a batch one answer", "Add answers each of many callers for its own order", "other clauses have refused orders in a batch", faulty(func(f *faultyStore) {
			type batch struct{ err error }
			var mu sync.Mutex
			var next *batch
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
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
				if err := f.store.Add(ctx, order, origin); err != nil {
					mine.err = err
				}
				mu.Unlock()
				time.Sleep(2 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				return mine.err
			}
		})},
		{"a refused Add puts the event into the outbox again", "a refused Add does not bring back a published event", "other clauses look into the outbox after a refused Add", faulty(func(f *faultyStore) {
			var mu sync.Mutex
			var free []domain.Event
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				err := f.store.Add(ctx, order, origin)
				if errors.Is(err, ports.ErrExists) {
					mu.Lock()
					defer mu.Unlock()
					free = append(free, order.Created())
				}
				return err
			}
			f.claim = claimingAlso(f, &mu, &free)
		})},
		{"Add keeps the order and then fails on an ended context", "Add with an ended context keeps neither the order nor its event", "", faulty(func(f *faultyStore) { checkContextLast(&f.add) })},
		{"Add ignores its context", "Add with an ended context keeps neither the order nor its event", "", faulty(func(f *faultyStore) { ignoreContext(&f.add) })},
		{"Get ignores its context", "Get and List with an ended context return its error", "", faulty(func(f *faultyStore) { ignoreContext(&f.get) })},
		{"Get finds an empty order under every id", "Get finds nothing under an unknown id", "an order that was not kept is found too", faulty(func(f *faultyStore) {
			f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
				order, err := f.store.Get(ctx, id)
				if errors.Is(err, ports.ErrNotFound) {
					return domain.Order{}, nil
				}
				return order, err
			}
		})},
		{"Add's errors do not say what was attempted", "Add refuses a known id, and leaves the order as it is", "every clause that looks at a refusal", faulty(func(f *faultyStore) {
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				err := f.store.Add(ctx, order, origin)
				if errors.Is(err, ports.ErrExists) {
					return ports.ErrExists
				}
				return err
			}
		})},
		{"Get's errors do not say what was attempted", "Get finds nothing under an unknown id", "every clause that looks for a missing order", faulty(func(f *faultyStore) {
			f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
				order, err := f.store.Get(ctx, id)
				if errors.Is(err, ports.ErrNotFound) {
					return order, ports.ErrNotFound
				}
				return order, err
			}
		})},
		{"Get cuts texts to a length in bytes", "Add keeps an order, and Get returns it with every field as it was added", "", returning(func(order *domain.Order) {
			order.Product = order.Product[:min(len(order.Product), domain.MaxProduct)]
		})},
		{"Get returns times to the second", "Add keeps an order, and Get returns it with every field as it was added", "", returning(func(order *domain.Order) {
			order.CreatedAt = order.CreatedAt.Truncate(time.Second)
		})},
		{"Get returns times in local time", "Add keeps an order, and Get returns it with every field as it was added", everyOrder, returning(func(order *domain.Order) {
			order.CreatedAt = order.CreatedAt.In(time.FixedZone("CET", 3600))
		})},
		{"Claim fails during an Add", "the store's methods may be called from several goroutines at once", "", faulty(func(f *faultyStore) {
			var adding atomic.Int64
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				adding.Add(1)
				defer adding.Add(-1)
				time.Sleep(time.Millisecond)
				return f.store.Add(ctx, order, origin)
			}
			f.claim = func(ctx context.Context, limit int) ([]domain.Event, error) {
				if adding.Load() > 0 {
					return nil, errors.New("claim events: busy")
				}
				return f.store.Claim(ctx, limit)
			}
		})},
	}
}

// returning makes a store whose Get returns changed orders.
func returning(change func(order *domain.Order)) func() porttest.Store {
	return faulty(func(f *faultyStore) {
		changeResult(&f.get, func(order *domain.Order, _ domain.OrderID) { change(order) })
	})
}

// hiding returns a Get that does not find the orders in gone.
func hiding(f *faultyStore, gone *shared[domain.OrderID, bool]) func(context.Context, domain.OrderID) (domain.Order, error) {
	return func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
		if _, ok := gone.get(id); ok {
			return domain.Order{}, fmt.Errorf("get order %s: %w", id, ports.ErrNotFound)
		}
		return f.store.Get(ctx, id)
	}
}

// overwriting makes a store whose Add replaces an order of the same id, and
// returns answer.
func overwriting(answer error) func() porttest.Store {
	return faulty(func(f *faultyStore) {
		var over shared[domain.OrderID, domain.Order]
		f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
			err := f.store.Add(ctx, order, origin)
			if errors.Is(err, ports.ErrExists) {
				over.set(order.ID, order)
				if answer == nil {
					return nil
				}
			}
			return err
		}
		f.get = func(ctx context.Context, id domain.OrderID) (domain.Order, error) {
			if order, ok := over.get(id); ok {
				return order, nil
			}
			return f.store.Get(ctx, id)
		}
	})
}

// claimingAlso returns a Claim that also removes and returns the events in free.
func claimingAlso(f *faultyStore, mu *sync.Mutex, free *[]domain.Event) func(context.Context, int) ([]domain.Event, error) {
	return func(ctx context.Context, limit int) ([]domain.Event, error) {
		events, err := f.store.Claim(ctx, limit)
		mu.Lock()
		defer mu.Unlock()
		if err == nil && limit > len(events) {
			n := min(limit-len(events), len(*free))
			events, *free = append(events, (*free)[:n]...), (*free)[n:]
		}
		return events, err
	}
}
