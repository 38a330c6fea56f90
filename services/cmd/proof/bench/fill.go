package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/services/cmd/proof/harness"
)

// users is the number of users in a filled database.
const users = 1000

func userName(n int) string { return fmt.Sprintf("user-%d", n%users) }

// newID returns an order id like those of ours: stores like ids that grow with time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// fill adds that many orders to the database, as the service does. Their events are
// published, or wait in the outbox without a claim.
func (b *bench) fill(ctx context.Context, d harness.Database, orders int, published bool) (added []answered, err error) {
	var options mongodb.Options
	if !published {
		options.OutboxLease = time.Millisecond
	}
	store, err := mongodb.Open(ctx, d.URL.String(), options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close(ctx)) }()
	repository := store.Orders()
	added = make([]answered, orders)
	events := make([]domain.EventID, orders)
	began := time.Now()
	group, adding := errgroup.WithContext(ctx)
	group.SetLimit(512) // enough for full batches
	for n := range orders {
		group.Go(func() error {
			order, err := domain.NewOrder(domain.OrderID(newID()), userName(n), "Laptop", 1, began.Add(time.Duration(n-orders)*time.Second))
			if err != nil {
				return err
			}
			copy(added[n].order[:], order.ID)
			events[n] = order.Created().ID
			return repository.Add(adding, order)
		})
	}
	if err := group.Wait(); err != nil || !published {
		return added, err
	}
	for some := range slices.Chunk(events, 1000) {
		if err := repository.MarkPublished(ctx, some...); err != nil {
			return nil, err
		}
	}
	return added, nil
}
