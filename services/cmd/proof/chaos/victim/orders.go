package main

import (
	"context"
	"errors"
	"time"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/proof/harness"
)

// orders are the store's, with the trap around each method that changes something.
type orders struct {
	*sqlite.Orders
	trap *trap
}

func (o orders) Add(ctx context.Context, order domain.Order, origin domain.Origin) error {
	done := o.trap.call("Add")
	err := o.Orders.Add(ctx, order, origin)
	done(err == nil)
	return err
}

func (o orders) Claim(ctx context.Context, limit int) ([]domain.Event, error) {
	done := o.trap.call("Claim events")
	events, err := o.Orders.Claim(ctx, limit)
	done(len(events) > 0)
	return events, err
}

func (o orders) MarkPublished(ctx context.Context, ids ...domain.EventID) error {
	done := o.trap.call("MarkPublished")
	err := o.Orders.MarkPublished(ctx, ids...)
	done(err == nil)
	return err
}

func (o orders) Release(ctx context.Context, at time.Time, ids ...domain.EventID) error {
	done := o.trap.call("Release events")
	err := o.Orders.Release(ctx, at, ids...)
	done(err == nil)
	return err
}

// publisher is the store's.
type publisher struct {
	sqlite.Publisher
	trap *trap
}

// Publish refuses one event of each batch if the trap waits for the release of refused
// events.
func (p publisher) Publish(ctx context.Context, events ...domain.Event) []error {
	if p.trap.is("Release events") && len(events) > 0 {
		return append([]error{errors.New(harness.RefusedOnPurpose)}, p.Publisher.Publish(ctx, events[1:]...)...)
	}
	done := p.trap.call("Publish")
	errs := p.Publisher.Publish(ctx, events...)
	done(errors.Join(errs...) == nil)
	return errs
}

// queue is one of the store's.
type queue struct {
	ports.EventQueue
	trap *trap
}

func (q queue) Consume(ctx context.Context, handle ports.Handler) error {
	return q.EventQueue.Consume(ctx, func(ctx context.Context, delivery ports.Delivery) error {
		done := q.trap.call("Handle")
		err := handle(ctx, delivery)
		done(true)
		q.trap.call("Acknowledge") // which follows at once
		return err
	})
}
