package sqlite

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// ClaimDue implements [ports.DeliveryLog].
func (d *Deliveries) ClaimDue(ctx context.Context, channel string, limit int) (_ []ports.WaitingDelivery, err error) {
	defer describe(&err, "claim due notifications of %s", channel)
	return d.claimWaiting(ctx, limit, func() filter {
		var due filter
		due.add("channel = ? AND next_try <= ?", channel, time.Now())
		return due
	}, "next_try")
}

// ClaimHeld implements [ports.DeliveryLog].
func (d *Deliveries) ClaimHeld(ctx context.Context, by domain.PauseKey, limit int) (_ []ports.WaitingDelivery, err error) {
	defer describe(&err, "claim held notifications of %s %s", by.Channel, by.Receiver)
	return d.claimWaiting(ctx, limit, func() filter {
		var held filter
		held.add("held_channel = ? AND held_receiver = ?", by.Channel, by.Receiver)
		return held
	}, "at")
}

// claimWaiting claims the first notifications in this order that match and that nobody
// has claimed. It reads them beside the writer, and writes nothing if it finds none.
func (d *Deliveries) claimWaiting(ctx context.Context, limit int, match func() filter, order string) (claimed []ports.WaitingDelivery, err error) {
	limit = min(max(limit, 1), ports.MaxListLimit)
	var unreadable skipped
	defer func() { unreadable.log(ctx, d.store.options.Logger, "deliveries") }()
	for len(claimed) < limit {
		want := limit - len(claimed)
		free, err := d.findFree(ctx, match(), order, want)
		var taken []waiting
		if err == nil && len(free) > 0 {
			taken, err = d.take(ctx, free)
		}
		if err != nil && len(claimed) > 0 {
			return claimed, nil // the next call returns the error, if it lasts
		}
		if err != nil {
			return nil, err
		}
		for _, w := range taken {
			if w.fault != nil { // it stays claimed, so that it does not come first in each call
				unreadable.add(w.fault)
				continue
			}
			w.delivery.Claim = w.claim
			claimed = append(claimed, w.delivery)
		}
		if len(free) < want {
			break
		}
		// Another call may have claimed some of them first, or some are unreadable.
	}
	return claimed, nil
}

// waiting is a row of a notification that waits.
type waiting struct {
	claim    *deliveryClaim
	delivery ports.WaitingDelivery
	fault    error // it can't be read

	version []any // changes when the notification is recorded again
}

// unchanged selects a notification of which version was read.
const unchanged = "EXISTS (SELECT 1 FROM deliveries WHERE " + isDelivery + " AND state = ?9 AND at = ?10 AND next_try IS ?11 AND details = ?12)"

// findFree finds the first notifications that match and that nobody has claimed. It passes
// the claimed ones in the index, which are few.
func (d *Deliveries) findFree(ctx context.Context, match filter, order string, limit int) (found []waiting, err error) {
	now := time.Now()
	match.add("NOT EXISTS (SELECT 1 FROM delivery_claims AS c WHERE c.event_id = d.event_id AND c.channel = d.channel AND c.recipient = d.recipient"+
		" AND c.ends >= ? AND c.ends <= ?)", now, latestEnd(now, d.ClaimLease()))
	err = d.store.read(ctx, func(tx *tx) error {
		return tx.query(func(r row) bool {
			delivery, err := readWaiting(r)
			var nextTry any // NULL if the row is damaged
			if r.ColumnType(6) != sqlite3.NULL {
				nextTry = r.ColumnInt64(6)
			}
			key := domain.NotificationKey{EventID: domain.EventID(r.ColumnText(0)), Channel: r.ColumnText(1), Recipient: r.ColumnText(2)}
			found = append(found, waiting{
				claim: d.newClaim(key), delivery: delivery, fault: err,
				version: []any{r.ColumnText(columnState), r.ColumnInt64(5), nextTry, r.ColumnText(columnDetails)},
			})
			return len(found) < limit
		}, "SELECT "+notificationColumns+", event FROM deliveries AS d"+match.sql()+" ORDER BY "+order+", event_id, channel, recipient", match.args...)
	})
	return found, err
}

// take claims those that have not changed, and that nobody has claimed meanwhile. If the
// process dies after this, the claims end with it.
func (d *Deliveries) take(ctx context.Context, free []waiting) ([]waiting, error) {
	var taken []waiting
	err := d.store.write(ctx, fleeting, func(tx *tx) error {
		taken = nil
		for _, w := range free {
			ok, err := w.claim.take(tx, unchanged, w.version...)
			if err != nil {
				return err
			}
			if ok {
				taken = append(taken, w)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}
