package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// outboxBatch limits how many events one transaction claims, marks or releases, so that
// other callers don't wait long.
const outboxBatch = 1000

// ClaimLease returns how long a claim on an event lasts.
func (o *Orders) ClaimLease() time.Duration { return o.store.options.OutboxLease }

// Claim claims up to limit free events. See [ports.Outbox]. It writes nothing if none
// is free.
func (o *Orders) Claim(ctx context.Context, limit int) (events []domain.Event, err error) {
	var unreadable skipped
	defer func() { unreadable.log(ctx, o.store.options.Logger, "orders") }()
	for len(events) < limit {
		want := min(limit-len(events), outboxBatch)
		claimed, err := o.claim(ctx, want)
		if err != nil && len(events) > 0 {
			return events, nil // the next call returns the error, if it lasts
		}
		if err != nil {
			return nil, fmt.Errorf("claim events: %w", err)
		}
		found := len(claimed.events) + len(claimed.faults)
		events = append(events, claimed.events...)
		for _, fault := range claimed.faults {
			unreadable.add(fault)
		}
		if found < want {
			break
		}
	}
	return events, nil
}

// claimed are the events of one transaction.
type claimed struct {
	events []domain.Event
	faults []error // of orders that can't be read; they stay claimed, so that they don't come first in each Claim
}

func (o *Orders) claim(ctx context.Context, want int) (claimed, error) {
	free, err := o.hasFree(ctx)
	if err != nil || !free {
		return claimed{}, err
	}
	var c claimed
	err = o.store.write(ctx, fleeting, func(tx *tx) error {
		c = claimed{}
		now := time.Now()
		var ids []string
		for _, free := range o.free(now) {
			err := tx.query(func(r row) bool {
				ids = append(ids, r.ColumnText(0))
				if order, err := readOrder(r); err != nil {
					c.faults = append(c.faults, err)
				} else {
					c.events = append(c.events, withOrigin(order, readOrigin(r, 5)))
				}
				return true
			}, "SELECT order_id, user_id, product, quantity, created_at, request_id, traceparent, tracestate FROM outbox LEFT JOIN orders ON id = order_id"+
				" WHERE "+free.sql+" ORDER BY free_at, order_id LIMIT ?", free.time, want-len(ids))
			if err != nil {
				return err
			}
		}
		for _, id := range ids {
			_, err := tx.exec("UPDATE outbox SET owner = ?, free_at = ? WHERE order_id = ?", o.store.owner, now.Add(o.ClaimLease()), id)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return claimed{}, err
	}
	return c, nil
}

// condition selects free events.
type condition struct {
	sql  string
	time time.Time // its parameter
}

// free returns the conditions for claims that have ended, and for ends so late that a
// wrong clock made them. Two conditions in one statement would sort the whole outbox.
func (o *Orders) free(now time.Time) []condition {
	return []condition{
		{"free_at <= ?", now},
		{"free_at > ?", now.Add(o.ClaimLease() + ports.MaxReleaseDelay)},
	}
}

func (o *Orders) hasFree(ctx context.Context) (found bool, err error) {
	err = o.store.read(ctx, func(tx *tx) error {
		for _, free := range o.free(time.Now()) {
			err := tx.query(func(row) bool { found = true; return false }, "SELECT 1 FROM outbox WHERE "+free.sql, free.time)
			if err != nil || found {
				return err
			}
		}
		return nil
	})
	return found, err
}

// MarkPublished takes the events out of the outbox. See [ports.Outbox].
func (o *Orders) MarkPublished(ctx context.Context, ids ...domain.EventID) (err error) {
	defer describe(&err, "mark %d events as published", len(ids))
	published := func(tx *tx, n int) { tx.count(countPublished, n) }
	return o.update(ctx, ids, published, "DELETE FROM outbox WHERE order_id = ?")
}

// Release gives up the claims on the events. See [ports.Outbox].
func (o *Orders) Release(ctx context.Context, at time.Time, ids ...domain.EventID) (err error) {
	defer describe(&err, "release %d events", len(ids))
	if latest := time.Now().Add(ports.MaxReleaseDelay); at.After(latest) {
		at = latest
	}
	freeAt := max(at.UnixMilli(), 0)
	return o.update(ctx, ids, func(*tx, int) {}, "UPDATE outbox SET owner = NULL, free_at = ?2 WHERE order_id = ?1", freeAt)
}

// update runs the statement for the order of each event, in batches. Its first parameter
// is the order's id. done gets how many events of a batch were in the outbox.
func (o *Orders) update(ctx context.Context, ids []domain.EventID, done func(tx *tx, n int), sql string, args ...any) error {
	var orders []string
	for _, id := range ids {
		if order, ok := id.OrderID(); ok {
			orders = append(orders, string(order))
		}
	}
	if len(orders) == 0 {
		return ctx.Err()
	}
	for batch := range slices.Chunk(orders, outboxBatch) {
		err := o.store.write(ctx, fleeting, func(tx *tx) error {
			changed := 0
			for _, order := range batch {
				n, err := tx.exec(sql, append([]any{order}, args...)...)
				if err != nil {
					return err
				}
				changed += n
			}
			done(tx, changed)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
