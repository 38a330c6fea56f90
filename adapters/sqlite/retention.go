package sqlite

import (
	"context"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// retentionBatch is how many notifications a transaction of Expire or Forget changes, so
// that other callers don't wait long.
const retentionBatch = 200

// Expire implements [ports.DeliveryLog]. If the power fails, the next call finds those
// again whose deletion was not on the disk yet.
func (d *Deliveries) Expire(ctx context.Context, before time.Time, limit int) (expired int, err error) {
	defer describe(&err, "expire deliveries")
	limit = min(max(limit, 1), ports.MaxListLimit)
	for expired < limit {
		want := min(limit-expired, retentionBatch)
		old, err := d.findSettled(ctx, before, want)
		if err != nil || len(old) == 0 {
			return expired, err
		}
		deleted, err := d.delete(ctx, old)
		expired += deleted
		if err != nil || len(old) < want {
			return expired, err
		}
	}
	return expired, nil
}

// settled is a notification that does not wait.
type settled struct {
	key   domain.NotificationKey
	state string
	at    int64
}

// findSettled finds the oldest notifications that do not wait.
func (d *Deliveries) findSettled(ctx context.Context, before time.Time, limit int) (found []settled, err error) {
	lists, err := d.lists(ctx, "", func(state domain.NotificationState) bool {
		return state == domain.Sent || state == domain.Dead || state == domain.Skipped
	})
	if err != nil || len(lists) == 0 {
		return nil, err
	}
	old := everything
	old.before.At = time.UnixMilli(ceilMilli(before))
	sql, args := merged("event_id, channel, recipient, state, at", lists, old)
	err = d.store.read(ctx, func(tx *tx) error {
		return tx.query(func(r row) bool {
			key := domain.NotificationKey{EventID: domain.EventID(r.ColumnText(0)), Channel: r.ColumnText(1), Recipient: r.ColumnText(2)}
			found = append(found, settled{key, r.ColumnText(3), r.ColumnInt64(4)})
			return len(found) < limit
		}, sql+oldestFirst, args...)
	})
	return found, err
}

// delete deletes the notifications that have not changed, with their claims that have
// ended. A dead one may be claimed, because its event was replayed: then it stays.
func (d *Deliveries) delete(ctx context.Context, old []settled) (int, error) {
	var deleted int
	err := d.store.write(ctx, fleeting, func(tx *tx) error {
		deleted = 0
		now := time.Now()
		for _, n := range old {
			dead := n.state == string(domain.Dead)
			condition, args := " AND state = ?4 AND at = ?5", keyArgs(n.key, n.state, n.at)
			if dead {
				_, err := tx.exec("DELETE FROM delivery_claims WHERE "+isDelivery+" AND (ends < ?4 OR ends > ?5)",
					keyArgs(n.key, now, latestEnd(now, d.ClaimLease()))...)
				if err != nil {
					return err
				}
				condition += " AND NOT EXISTS (SELECT 1 FROM delivery_claims WHERE " + isDelivery + ")"
			}
			changed, err := tx.exec("DELETE FROM deliveries WHERE "+isDelivery+condition, args...)
			if err != nil {
				return err
			}
			deleted += changed
			if dead {
				tx.countDelivery(countExpired, n.key, changed)
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

// Forget implements [ports.DeliveryLog]. A changed notification is not the user's any
// more, so the next call goes on where this one has ended.
func (d *Deliveries) Forget(ctx context.Context, userID string) (forgotten int, err error) {
	defer describe(&err, "forget a user's deliveries")
	if userID == "" {
		return 0, ctx.Err()
	}
	for {
		changed, err := d.forgetSome(ctx, userID)
		forgotten += changed
		if err != nil || changed < retentionBatch {
			return forgotten, err
		}
	}
}

func (d *Deliveries) forgetSome(ctx context.Context, userID string) (int, error) {
	var changed int
	err := d.store.write(ctx, durable, func(tx *tx) error {
		var all []erasure
		sql, args := userDeliveries.latest(notificationColumns, "deliveries", userID, filter{}, filter{})
		err := tx.query(func(r row) bool {
			all = append(all, erase(r))
			return len(all) < retentionBatch
		}, sql, args...)
		if err != nil {
			return err
		}
		changed = len(all)
		return tx.overwriting(func() error {
			for _, e := range all {
				if err := tx.erase(e); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}

// erasure is what is left of a notification without its user.
type erasure struct {
	key     domain.NotificationKey
	details string
	waits   bool
}

// erase reads a row. Of one that can't be read, no details are left: it stays unreadable.
func erase(r row) erasure {
	e := erasure{
		key:   domain.NotificationKey{EventID: domain.EventID(r.ColumnText(0)), Channel: r.ColumnText(1), Recipient: r.ColumnText(2)},
		waits: domain.NotificationState(r.ColumnText(columnState)).Waits(),
	}
	n, err := readNotification(r)
	if err != nil {
		return e
	}
	n.Reason, n.Receiver = "", ""
	for i := range n.Attempts {
		n.Attempts[i].Answer = ""
	}
	e.details, _ = encodeDetails(n)
	return e
}

func (t *tx) erase(e erasure) error {
	if _, err := t.exec("UPDATE deliveries SET user_id = '', details = ?4, event = NULL WHERE "+isDelivery, keyArgs(e.key, e.details)...); err != nil || !e.waits {
		return err
	}
	t.countState(domain.Skipped, e.key, 1)
	_, err := t.exec("UPDATE deliveries SET state = ?4, at = ?5, next_try = NULL, held_channel = NULL, held_receiver = NULL, since = NULL WHERE "+isDelivery,
		keyArgs(e.key, string(domain.Skipped), time.Now())...)
	if err != nil {
		return err
	}
	return t.endClaim(e.key)
}
