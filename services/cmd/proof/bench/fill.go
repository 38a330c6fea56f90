package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
)

// users is the number of users in a filled database.
const users = 1000

func userName(n int) string { return fmt.Sprintf("user-%d", n%users) }

// newID returns an order id like those of ours: stores like ids that grow with time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// fill adds orders and our indexes to the database, as the service does. The orders'
// events are published, or wait in the outbox without a claim.
func (s *stage) fill(ctx context.Context, orders int, published bool) {
	var options mongodb.Options
	if !published {
		options.OutboxLease = time.Millisecond
	}
	store := must(mongodb.Open(ctx, s.database.URL.String(), options))
	defer s.remove(ctx, store.Close)
	s.filled = make([]answered, orders)
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
			copy(s.filled[n].order[:], order.ID)
			events[n] = order.Created().ID
			return store.Orders().Add(adding, order, domain.Origin{})
		})
	}
	check(group.Wait())
	if !published {
		s.waited = s.filled
		return
	}
	for some := range slices.Chunk(events, 1000) {
		check(store.Orders().MarkPublished(ctx, some...))
	}
}
