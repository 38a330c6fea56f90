package mongodb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Deliveries is the log of deliveries.
//
// A claim and a record are separate documents, because an insert costs less than an
// update. Only Expire deletes them. So after inserting a claim, a caller knows that
// no record exists; after finding a claim, it looks for a record. While a
// notification waits, its record holds the claim.
type Deliveries struct{ store *Store }

var _ ports.DeliveryLog = (*Deliveries)(nil)

// Deliveries returns the store's log of deliveries.
func (s *Store) Deliveries() *Deliveries { return &s.parts.deliveries }

type claimDocument struct {
	ID     deliveryID `bson:"_id"`
	Token  string     `bson:"token"`
	FreeAt time.Time  `bson:"free_at"` // when the claim ends
}

// ClaimLease returns how long a claim lasts.
func (d *Deliveries) ClaimLease() time.Duration { return d.store.options.DeliveryLease }

// Claim reserves sending a notification. See [ports.DeliveryLog].
func (d *Deliveries) Claim(ctx context.Context, key domain.NotificationKey) (_ ports.DeliveryClaim, err error) {
	defer describe(&err, "claim delivery of %s by %s", key, key.Channel)
	claim := &deliveryClaim{store: d.store, id: idOfKey(key), token: d.store.owner.token()}
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	if err := claim.take(ctx); err != nil {
		return nil, err
	}
	return claim, nil
}

// deliveryClaim is a claim on a notification that has no record, or a dead one.
type deliveryClaim struct {
	store *Store
	id    deliveryID
	token string
	taken atomic.Int64 // Unix time in ms right before it was taken; 0: it was released

	earlier []domain.Attempt // of the notification that was dead
}

// take inserts the claim, and takes it over if it exists.
func (c *deliveryClaim) take(ctx context.Context) error {
	c.taken.Store(time.Now().UnixMilli())
	err := c.store.claims.Do(ctx, newClaim{id: c.id, token: c.token})
	switch {
	case err == nil:
		return nil
	case isDuplicate(err):
		return c.takeOver(ctx)
	}
	return outage(ctx, err)
}

// takeOver takes a claim that has ended. It looks for a record before and after,
// because until then the claim's holder may still record.
func (c *deliveryClaim) takeOver(ctx context.Context) error {
	if err := c.checkClaimable(ctx); err != nil {
		return err
	}
	taken, err := c.takeIf(ctx, "free_at", ended(c.store.options.DeliveryLease))
	if err == nil && !taken {
		taken, err = c.takeFromEnded(ctx)
	}
	switch {
	case err != nil:
		return err
	case !taken:
		return ports.ErrClaimed
	}
	return c.checkClaimable(ctx)
}

// held selects the claims that have not ended, by their free_at. A claim has also ended
// if free_at is not a time, or is more than one and a half leases ahead: a wrong clock
// made it. Half a lease allows for clocks that differ.
func held(lease time.Duration) bson.M {
	now := time.Now()
	return bson.M{"$gt": now, "$lte": now.Add(lease + lease/2)}
}

// ended selects the other claims, and records without a claim.
func ended(lease time.Duration) bson.M { return bson.M{"$not": held(lease)} }

// takeFromEnded takes the claim if its owner has ended.
func (c *deliveryClaim) takeFromEnded(ctx context.Context) (taken bool, err error) {
	held, err := c.store.claimed.FindOne(ctx, bson.M{"_id": c.id}).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return false, nil
	}
	if err != nil {
		return false, classify(ctx, err)
	}
	token, _ := held.Lookup("token").StringValueOK()
	ended, err := c.store.owner.hasEnded(ctx, token)
	if err != nil || !ended {
		return false, err
	}
	return c.takeIf(ctx, "token", token)
}

// takeIf takes the claim, for a whole lease, if the field has that value.
func (c *deliveryClaim) takeIf(ctx context.Context, field string, value any) (taken bool, err error) {
	now := time.Now()
	result, err := c.store.claimed.UpdateOne(ctx, bson.M{"_id": c.id, field: value},
		bson.M{"$set": bson.M{"token": c.token, "free_at": now.Add(c.store.options.DeliveryLease)}})
	if err != nil {
		return false, outage(ctx, err)
	}
	if taken = result.MatchedCount > 0; taken {
		c.taken.Store(now.UnixMilli())
	}
	return taken, nil
}

// isHeld reports whether no other caller has the claim. In the first half of its
// lease no other caller can take it, unless this process's owner has ended. Later
// isHeld asks the server, and begins a new lease.
func (c *deliveryClaim) isHeld(ctx context.Context) (bool, error) {
	if time.Since(time.UnixMilli(c.taken.Load())) < c.store.options.DeliveryLease/2 && c.store.owner.isFresh() {
		return true, nil
	}
	return c.takeIf(ctx, "token", c.token)
}

// checkClaimable returns ErrExists if the notification is recorded and not dead, and
// a permanent error if the record is unreadable.
func (c *deliveryClaim) checkClaimable(ctx context.Context) error {
	recorded, found, err := c.store.findNotification(ctx, c.id)
	switch {
	case err != nil:
		return err
	case found && recorded.State != domain.Dead:
		return ports.ErrExists
	}
	c.earlier = recorded.Attempts
	return nil
}

// findNotification returns the record with this id. It returns a permanent error if
// the record is unreadable.
func (s *Store) findNotification(ctx context.Context, id deliveryID) (n domain.Notification, found bool, err error) {
	document, err := s.deliveries.FindOne(ctx, bson.M{"_id": id}).Raw()
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return n, false, nil
	case err != nil:
		return n, false, classify(ctx, err)
	}
	n, err = readNotification(document)
	return n, true, ports.Permanent(err)
}

// newClaim is a claim that waits for the next write.
type newClaim struct {
	id    deliveryID
	token string
}

func (c newClaim) Key() string { return c.id.key() }

func (c newClaim) Size() int { return len(c.id.key()) + 150 }

// insertClaims writes the claims of several callers. The leases begin now, not when
// the calls began. If the process dies after that, its claims end with its owner.
func (s *Store) insertClaims(ctx context.Context, claims []newClaim) []error {
	freeAt := time.Now().Add(s.options.DeliveryLease)
	documents := make([]claimDocument, len(claims))
	for i, c := range claims {
		documents[i] = claimDocument{ID: c.id, Token: c.token, FreeAt: freeAt}
	}
	return insert(ctx, s, s.claimed, documents)
}

// Release gives up the claim. See [ports.DeliveryClaim].
func (c *deliveryClaim) Release(ctx context.Context) (err error) {
	defer describe(&err, "release delivery of %s", c.id)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	c.taken.Store(0)
	return c.store.freeClaim(ctx, bson.M{"_id": c.id, "token": c.token})
}

// freeClaim ends the selected claim on a notification that does not wait.
func (s *Store) freeClaim(ctx context.Context, filter bson.M) error {
	longAgo := time.UnixMilli(0) // past by every clock
	if _, err := s.claimed.UpdateOne(ctx, filter, bson.M{"$set": bson.M{"free_at": longAgo}}); err != nil {
		return fmt.Errorf("free claim: %w", classify(ctx, err))
	}
	return nil
}
