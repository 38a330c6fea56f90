package sqlite

import (
	"context"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// ClaimLease returns how long a claim on an event lasts.
func (o *Orders) ClaimLease() time.Duration { return o.store.options.OutboxLease }

// Claim claims up to limit free events. See [ports.Outbox].
func (o *Orders) Claim(ctx context.Context, limit int) (events []domain.Event, err error) {
	defer describe(&err, "claim events")
	s := o.store
	err = s.write(ctx, fleeting, func(tx *tx) error {
		events = nil
		now := time.Now()
		latest := now.Add(o.ClaimLease() + ports.MaxReleaseDelay) // a later end was made by a wrong clock
		err := tx.query(func(r row) bool {
			if order, err := readOrder(r); err == nil {
				events = append(events, order.Created())
			}
			return true
		}, selectOrders+" JOIN outbox ON order_id = id WHERE free_at <= ? OR free_at > ? ORDER BY free_at LIMIT ?", now, latest, max(limit, 0))
		if err != nil {
			return err
		}
		for _, e := range events {
			if _, err := tx.exec("UPDATE outbox SET owner = ?, free_at = ? WHERE order_id = ?", s.owner, now.Add(o.ClaimLease()), string(e.Order.ID)); err != nil {
				return err
			}
		}
		return nil
	})
	return events, err
}

// MarkPublished takes the events out of the outbox. See [ports.Outbox].
func (o *Orders) MarkPublished(ctx context.Context, ids ...domain.EventID) (err error) {
	defer describe(&err, "mark %d events as published", len(ids))
	return o.store.write(ctx, fleeting, func(tx *tx) error {
		for _, id := range ids {
			if order, ok := id.OrderID(); ok {
				if _, err := tx.exec("DELETE FROM outbox WHERE order_id = ?", string(order)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Release gives up the claims on the events. See [ports.Outbox].
func (o *Orders) Release(ctx context.Context, at time.Time, ids ...domain.EventID) (err error) {
	defer describe(&err, "release %d events", len(ids))
	if latest := time.Now().Add(ports.MaxReleaseDelay); at.After(latest) {
		at = latest
	}
	return o.store.write(ctx, fleeting, func(tx *tx) error {
		for _, id := range ids {
			if order, ok := id.OrderID(); ok {
				if _, err := tx.exec("UPDATE outbox SET owner = NULL, free_at = ? WHERE order_id = ?", at, string(order)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
