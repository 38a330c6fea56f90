package sqlite

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Deliveries is the log of the notifications, and keeps those that wait.
//
// A claim is a row of its own, whether the notification is recorded or not. A record ends
// it, so the claims are few. The claims of a process end with it: see owner.go.
type Deliveries struct{ store *Store }

var _ ports.DeliveryLog = (*Deliveries)(nil)

// Deliveries returns the part.
func (s *Store) Deliveries() *Deliveries { return &s.parts.deliveries }

// ClaimLease returns how long a claim lasts.
func (d *Deliveries) ClaimLease() time.Duration { return d.store.options.DeliveryLease }

// Claim implements [ports.DeliveryLog]. Usually it needs one statement, because the
// notification is new.
func (d *Deliveries) Claim(ctx context.Context, key domain.NotificationKey) (_ ports.DeliveryClaim, err error) {
	defer describe(&err, "claim delivery of %s", deliveryID(key))
	claim := d.newClaim(key)
	err = d.store.write(ctx, fleeting, func(tx *tx) error {
		if taken, err := claim.take(tx, "NOT "+isRecorded); err != nil || taken {
			return err
		}
		n, err := readOne(tx, readNotification, selectNotifications+" WHERE "+isDelivery, keyArgs(key)...)
		switch {
		case errors.As(err, new(*ports.UnreadableError)):
			return ports.Permanent(err)
		case errors.Is(err, ports.ErrNotFound):
			return ports.ErrClaimed
		case err != nil:
			return err
		case n.State != domain.Dead:
			return ports.ErrExists
		}
		taken, err := claim.take(tx, isRecorded)
		if err == nil && !taken {
			err = ports.ErrClaimed
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return claim, nil
}

// The conditions that select a notification, and its claim. Their parameters are those
// of keyArgs.
const (
	isDelivery = "event_id = ?1 AND channel = ?2 AND recipient = ?3"
	isRecorded = "EXISTS (SELECT 1 FROM deliveries WHERE " + isDelivery + ")"
)

func keyArgs(key domain.NotificationKey, more ...any) []any {
	return append([]any{string(key.EventID), key.Channel, key.Recipient}, more...)
}

// deliveryClaim is a claim on a notification.
type deliveryClaim struct {
	store *Store
	key   domain.NotificationKey
	token int64 // tells it from the notification's other claims
}

func (d *Deliveries) newClaim(key domain.NotificationKey) *deliveryClaim {
	return &deliveryClaim{store: d.store, key: key, token: rand.Int64()}
}

// take makes the claim, for a whole lease from now, if no other claim is in force and the
// condition is true. The condition's parameters are those of keyArgs, and more from ?9 on.
func (c *deliveryClaim) take(tx *tx, condition string, more ...any) (taken bool, err error) {
	now := time.Now()
	lease := c.store.options.DeliveryLease
	args := keyArgs(c.key, c.token, c.store.owner, now.Add(lease), now, latestEnd(now, lease))
	changed, err := tx.exec("INSERT INTO delivery_claims (event_id, channel, recipient, token, owner, ends) SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE "+condition+
		" ON CONFLICT DO UPDATE SET token = ?4, owner = ?5, ends = ?6 WHERE ends < ?7 OR ends > ?8", append(args, more...)...)
	return changed > 0, err
}

// latestEnd returns the latest time at which a claim that is in force can end. A wrong
// clock made a claim that ends later.
func latestEnd(now time.Time, lease time.Duration) time.Time { return now.Add(lease + lease/2) }
