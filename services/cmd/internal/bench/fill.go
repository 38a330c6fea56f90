package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
)

// users is how many users the orders in a filled database are of.
const users = 1000

func userName(n int) string { return fmt.Sprintf("user-%d", n%users) }

// fill adds so many orders to the database, as the service does. Their events
// wait in the outbox, claimed by nobody, or are published.
func (b *bench) fill(ctx context.Context, d database, orders int, published bool) (added []answered, err error) {
	var options mongodb.Options
	if !published {
		options.OutboxLease = time.Millisecond
	}
	store, err := mongodb.Open(ctx, d.url, options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close(ctx)) }()
	repository := store.Orders()
	added = make([]answered, orders)
	events := make([]domain.EventID, orders)
	began := time.Now()
	err = atOnce(512, orders, func(n int) error { // enough that whole batches gather
		order, err := domain.NewOrder(domain.OrderID(newID()), userName(n), "Laptop", 1, began.Add(time.Duration(n-orders)*time.Second))
		if err != nil {
			return err
		}
		copy(added[n].order[:], order.ID)
		events[n] = order.Created().ID
		return repository.Add(ctx, order)
	})
	if err != nil || !published {
		return added, err
	}
	for some := range slices.Chunk(events, 1000) {
		if err := repository.MarkPublished(ctx, some...); err != nil {
			return nil, err
		}
	}
	return added, nil
}

// atOnce calls do with each number below count, several at once; it ends at
// the first error.
func atOnce(several, count int, do func(n int) error) error {
	var next atomic.Int64
	errs := make([]error, several)
	var wg sync.WaitGroup
	for worker := range several {
		wg.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= count {
					return
				}
				if errs[worker] = do(n); errs[worker] != nil {
					next.Store(int64(count))
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
