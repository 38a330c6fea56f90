package mongodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Deliveries is the log of deliveries.
//
// A claim and a record are separate documents, because an insert costs less than an
// update. Neither is ever deleted. So after inserting a claim, a caller knows that
// no record exists; after finding a claim, it looks for a record.
type Deliveries struct{ store *Store }

var _ ports.DeliveryLog = (*Deliveries)(nil)

// Deliveries returns the store's log of deliveries.
func (s *Store) Deliveries() *Deliveries { return &s.parts.deliveries }

// deliveryID must keep the order of its fields, because the server compares it
// byte by byte.
type deliveryID struct {
	EventID string `bson:"event_id"`
	Channel string `bson:"channel"`
}

func (id deliveryID) key() string { return id.EventID + " " + id.Channel }

type claimDocument struct {
	ID     deliveryID `bson:"_id"`
	Token  string     `bson:"token"`
	FreeAt time.Time  `bson:"free_at"` // when the claim ends
}

// ClaimLease returns how long a claim lasts.
func (d *Deliveries) ClaimLease() time.Duration { return d.store.options.DeliveryLease }

// Claim reserves sending a notification. See [ports.DeliveryLog].
func (d *Deliveries) Claim(ctx context.Context, key domain.NotificationKey) (_ ports.DeliveryClaim, err error) {
	defer describe(&err, "claim delivery of event %s by %s", key.EventID, key.Channel)
	claim := &deliveryClaim{
		store: d.store,
		id:    deliveryID{EventID: string(key.EventID), Channel: key.Channel},
		token: d.store.owner.token(),
	}
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	if err := claim.take(ctx); err != nil {
		return nil, err
	}
	return claim, nil
}

// List returns the notifications recorded for the order. See [ports.DeliveryLog].
func (d *Deliveries) List(ctx context.Context, query ports.NotificationQuery) (_ ports.NotificationPage, err error) {
	defer describe(&err, "list deliveries")
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	documents, err := find(ctx, d.store.deliveries, bson.M{"order_id": string(query.OrderID)}, options.Find().SetSort(oldestSentFirst))
	if err != nil {
		return ports.NotificationPage{}, err
	}
	all := readPage(slices.Values(documents), len(documents), readNotification)
	all.skipped.log(ctx, d.store.options.Logger, d.store.deliveries)
	return ports.NotificationPage{Notifications: all.records, Unreadable: all.skipped.count}, nil
}

func readNotification(document bson.Raw) (domain.Notification, error) {
	r := reader{doc: document}
	id := subdocument(&r, "_id")
	n := domain.Notification{
		EventID: domain.EventID(field(id, "event_id", bson.RawValue.StringValueOK)),
		OrderID: domain.OrderID(field(&r, "order_id", bson.RawValue.StringValueOK)),
		Channel: field(id, "channel", bson.RawValue.StringValueOK),
		Attempt: field(&r, "attempt", integer),
		State:   domain.Sent,
		At:      date(&r, "sent_at"),
	}
	if n.Attempt < 1 {
		r.fail("attempt", "must be at least 1")
	}
	if err := cmp.Or(id.err, r.err); err != nil {
		return domain.Notification{}, unreadable(document, err)
	}
	return n, nil
}

type deliveryClaim struct {
	store *Store
	id    deliveryID
	token string
}

// take inserts the claim, and takes it over if it exists.
func (c *deliveryClaim) take(ctx context.Context) error {
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
	if err := c.checkUnsent(ctx); err != nil {
		return err
	}
	// A claim has also ended if its end is not a time, or is more than one and a half
	// leases ahead: a wrong clock made it. Half a lease allows for clocks that differ.
	now, lease := time.Now(), c.store.options.DeliveryLease
	taken, err := c.takeIf(ctx, "free_at", bson.M{"$not": bson.M{"$gt": now, "$lte": now.Add(lease + lease/2)}})
	if err == nil && !taken {
		taken, err = c.takeFromEnded(ctx)
	}
	switch {
	case err != nil:
		return err
	case !taken:
		return ports.ErrClaimed
	}
	return c.checkUnsent(ctx)
}

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

// takeIf takes the claim if the field has that value.
func (c *deliveryClaim) takeIf(ctx context.Context, field string, value any) (taken bool, err error) {
	result, err := c.store.claimed.UpdateOne(ctx, bson.M{"_id": c.id, field: value},
		bson.M{"$set": bson.M{"token": c.token, "free_at": time.Now().Add(c.store.options.DeliveryLease)}})
	if err != nil {
		return false, outage(ctx, err)
	}
	return result.MatchedCount > 0, nil
}

// checkUnsent returns ErrExists if the notification is recorded, and a permanent
// error if the record is unreadable.
func (c *deliveryClaim) checkUnsent(ctx context.Context) error {
	document, err := c.store.deliveries.FindOne(ctx, bson.M{"_id": c.id}).Raw()
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return nil
	case err != nil:
		return classify(ctx, err)
	}
	if _, err := readNotification(document); err != nil {
		return ports.Permanent(err)
	}
	return ports.ErrExists
}

// newClaim is a claim that waits for the next write.
type newClaim struct {
	id    deliveryID
	token string
}

func (c newClaim) Key() string { return c.id.key() }

func (c newClaim) Size() int { return len(c.id.key()) + 150 }

// insertClaims writes the claims of several callers. The leases begin now, not when
// the calls began.
func (s *Store) insertClaims(ctx context.Context, claims []newClaim) []error {
	freeAt := time.Now().Add(s.options.DeliveryLease)
	documents := make([]claimDocument, len(claims))
	for i, c := range claims {
		documents[i] = claimDocument{ID: c.id, Token: c.token, FreeAt: freeAt}
	}
	return insert(ctx, s, s.claimed, documents)
}

// Record stores the notification as sent. See [ports.DeliveryClaim].
func (c *deliveryClaim) Record(ctx context.Context, n domain.Notification, event domain.Event) (err error) {
	defer describe(&err, "record delivery of event %s by %s", c.id.EventID, c.id.Channel)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	err = c.store.records.Do(ctx, record{
		ID: c.id, OrderID: string(n.OrderID), Attempt: n.Attempt, SentAt: n.At,
	})
	switch {
	case err == nil:
		return nil
	case isDuplicate(err):
		taken := c.checkUnsent(ctx)
		switch {
		case errors.Is(taken, ports.ErrExists):
			return nil
		case taken == nil: // the record was deleted meanwhile
			return fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
		}
		return taken
	}
	return outage(ctx, err)
}

// record is a document that waits for the next write.
type record struct {
	ID      deliveryID `bson:"_id"`
	OrderID string     `bson:"order_id"`
	Attempt int        `bson:"attempt"`
	SentAt  time.Time  `bson:"sent_at"`
}

func (r record) Key() string { return r.ID.key() }

func (r record) Size() int { return len(r.ID.key()) + 200 }

// insertRecords writes the records of several callers.
func (s *Store) insertRecords(ctx context.Context, records []record) []error {
	return insert(ctx, s, s.deliveries, records)
}

// Release gives up the claim. See [ports.DeliveryClaim].
func (c *deliveryClaim) Release(ctx context.Context) (err error) {
	defer describe(&err, "release delivery of event %s by %s", c.id.EventID, c.id.Channel)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	longAgo := time.UnixMilli(0) // past by every clock
	_, err = c.store.claimed.UpdateOne(ctx,
		bson.M{"_id": c.id, "token": c.token},
		bson.M{"$set": bson.M{"free_at": longAgo}})
	if err != nil {
		return classify(ctx, err)
	}
	return nil
}

func (d *Deliveries) ClaimDue(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
	return nil, errors.ErrUnsupported
}

func (d *Deliveries) ClaimHeld(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error) {
	return nil, errors.ErrUnsupported
}

func (d *Deliveries) Forget(ctx context.Context, userID string) (int, error) {
	return 0, errors.ErrUnsupported
}

func (d *Deliveries) Expire(ctx context.Context, before time.Time, limit int) (int, error) {
	return 0, errors.ErrUnsupported
}
