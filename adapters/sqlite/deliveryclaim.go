package sqlite

import (
	"context"
	"slices"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Record implements [ports.DeliveryClaim]. Usually the notification is sent at the first
// attempt. Then Record needs two statements, and no JSON is made during the transaction.
func (c *deliveryClaim) Record(ctx context.Context, n domain.Notification, event domain.Event) (err error) {
	defer describe(&err, "record delivery of %s", deliveryID(c.key))
	n.EventID, n.Channel, n.Recipient = c.key.EventID, c.key.Channel, c.key.Recipient
	columns, err := deliveryColumns(n, event)
	if err != nil {
		return err
	}
	return c.store.write(ctx, durable, func(tx *tx) error {
		if n.State == domain.Sent {
			added, err := tx.exec("INSERT"+intoDeliveries+" ON CONFLICT DO NOTHING", columns...)
			if err != nil {
				return err
			}
			if added > 0 {
				tx.list(userDeliveries)
				tx.countState(n.State, c.key, 1)
				return tx.endClaim(c.key)
			}
		}
		return c.replace(tx, n, columns)
	})
}

// replace stores the notification in place of the one that is recorded, if the claim
// still allows that.
func (c *deliveryClaim) replace(tx *tx, n domain.Notification, columns []any) error {
	earlier, err := tx.earlier(c.key)
	if err != nil {
		return err
	}
	if n.State == domain.Sent {
		if earlier.state == domain.Sent {
			return nil
		}
	} else if holder, err := tx.holder(c.key); err != nil || holder != c.token && (holder != 0 || earlier.state != "") {
		return err
	}
	if earlier.state == domain.Dead { // it was replayed
		n.Attempts = slices.Concat(earlier.attempts, n.Attempts)
		if columns[columnDetails], err = encodeDetails(n); err != nil {
			return err
		}
	}
	if _, err := tx.exec("INSERT OR REPLACE"+intoDeliveries, columns...); err != nil {
		return err
	}
	tx.list(userDeliveries)
	tx.countState(earlier.state, c.key, -1)
	tx.countState(n.State, c.key, 1)
	return tx.endClaim(c.key)
}

// recorded is what a new record needs to know of the earlier one.
type recorded struct {
	state    domain.NotificationState // empty: none is recorded
	attempts []domain.Attempt         // none if the record can't be read
}

func (t *tx) earlier(key domain.NotificationKey) (found recorded, err error) {
	err = t.query(func(r row) bool {
		n, _ := readNotification(r)
		found = recorded{domain.NotificationState(r.ColumnText(columnState)), n.Attempts}
		return false
	}, selectNotifications+" WHERE "+isDelivery, keyArgs(key)...)
	return found, err
}

// holder returns the token of the notification's claim, or 0. The claim may have ended.
func (t *tx) holder(key domain.NotificationKey) (token int64, err error) {
	err = t.query(func(r row) bool {
		token = r.ColumnInt64(0)
		return false
	}, "SELECT token FROM delivery_claims WHERE "+isDelivery, keyArgs(key)...)
	return token, err
}

// endClaim ends the notification's claim, whoever holds it.
func (t *tx) endClaim(key domain.NotificationKey) error {
	_, err := t.exec("DELETE FROM delivery_claims WHERE "+isDelivery, keyArgs(key)...)
	return err
}

// Release implements [ports.DeliveryClaim].
func (c *deliveryClaim) Release(ctx context.Context) (err error) {
	defer describe(&err, "release delivery of %s", deliveryID(c.key))
	return c.store.write(ctx, fleeting, func(tx *tx) error {
		_, err := tx.exec("DELETE FROM delivery_claims WHERE "+isDelivery+" AND token = ?4", keyArgs(c.key, c.token)...)
		return err
	})
}

var _ ports.DeliveryClaim = (*deliveryClaim)(nil)
