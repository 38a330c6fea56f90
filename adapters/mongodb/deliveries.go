package mongodb

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Deliveries is the log of deliveries. Make one with [Store.Deliveries].
//
// Its documents are never deleted here, so that whoever fails to insert one
// knows that it is there to be read or updated.
type Deliveries struct {
	Lease time.Duration // how long a claim lasts; 0: 45 s

	store *Store
}

var _ ports.DeliveryLog = (*Deliveries)(nil)

// Deliveries returns the store's log of deliveries.
func (s *Store) Deliveries() *Deliveries { return &Deliveries{store: s} }

// deliveryID is compared as it is stored: its fields must keep their order.
type deliveryID struct {
	EventID string `bson:"event_id"`
	Channel string `bson:"channel"`
}

type claimDocument struct {
	Token  string    `bson:"token"`
	FreeAt time.Time `bson:"free_at"` // when the claim runs out
}

// Claim reserves sending a notification. See [ports.DeliveryLog].
func (d *Deliveries) Claim(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
	claim := &deliveryClaim{
		store: d.store,
		id:    deliveryID{EventID: string(event), Channel: channel},
		token: rand.Text(),
	}
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	if err := claim.take(ctx, cmp.Or(d.Lease, 45*time.Second)); err != nil {
		return nil, fmt.Errorf("claim delivery of event %s by %s: %w", event, channel, err)
	}
	return claim, nil
}

// List returns what was sent of the order's events. See [ports.DeliveryLog].
func (d *Deliveries) List(ctx context.Context, order domain.OrderID) ([]domain.Notification, error) {
	notifications, err := d.list(ctx, order)
	if err != nil {
		return nil, fmt.Errorf("list deliveries of order %s: %w", order, err)
	}
	return notifications, nil
}

func (d *Deliveries) list(ctx context.Context, order domain.OrderID) ([]domain.Notification, error) {
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	documents, err := find(ctx, d.store.deliveries, bson.M{"order_id": string(order)}, options.Find().SetSort(oldestSentFirst))
	if err != nil {
		return nil, err
	}
	var notifications []domain.Notification
	for _, document := range documents {
		n, err := readNotification(document)
		if err != nil {
			return nil, err
		}
		notifications = append(notifications, n)
	}
	return notifications, nil
}

func readNotification(document bson.Raw) (domain.Notification, error) {
	r := reader{doc: document}
	id := inside(&r, "_id")
	n := domain.Notification{
		EventID: domain.EventID(field(id, "event_id", bson.RawValue.StringValueOK)),
		OrderID: domain.OrderID(field(&r, "order_id", bson.RawValue.StringValueOK)),
		Channel: field(id, "channel", bson.RawValue.StringValueOK),
		Attempt: field(&r, "attempt", integer),
		SentAt:  field(&r, "sent_at", bson.RawValue.TimeOK).UTC(),
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

// take inserts the claim, or takes over one that has run out. Where there is
// neither, the server tries to insert a second document of that id, and the
// first one says why it could not.
func (c *deliveryClaim) take(ctx context.Context, lease time.Duration) error {
	for range 2 { // what was in the way may have run out by the time it is read
		now := time.Now()
		_, err := c.store.deliveries.UpdateOne(ctx,
			bson.M{"_id": c.id, "claim.free_at": bson.M{"$lte": now}},
			bson.M{"$set": bson.M{"claim": claimDocument{Token: c.token, FreeAt: now.Add(lease)}}},
			options.UpdateOne().SetUpsert(true))
		if err == nil {
			return nil
		}
		if !isDuplicate(err) {
			return classify(ctx, err)
		}
		there, err := c.store.deliveries.FindOne(ctx, bson.M{"_id": c.id}).Raw()
		if errors.Is(err, mongo.ErrNoDocuments) {
			continue
		}
		if err != nil {
			return classify(ctx, err)
		}
		if err := standing(there, now); err != nil {
			return err
		}
	}
	return ports.ErrClaimed
}

// standing says why a delivery can't be claimed: an error, or nil if it can.
func standing(document bson.Raw, now time.Time) error {
	if _, err := document.LookupErr("sent_at"); err == nil {
		return ports.ErrExists
	}
	claim := inside(&reader{doc: document}, "claim")
	freeAt := field(claim, "free_at", bson.RawValue.TimeOK)
	if claim.err != nil {
		return unreadable(document, claim.err)
	}
	if freeAt.After(now) {
		return ports.ErrClaimed
	}
	return nil
}

// Record keeps the notification as sent. See [ports.DeliveryClaim].
func (c *deliveryClaim) Record(ctx context.Context, n domain.Notification) error {
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	record := func(insert bool) error {
		_, err := c.store.deliveries.UpdateOne(ctx,
			bson.M{"_id": c.id, "sent_at": bson.M{"$exists": false}},
			bson.M{
				"$set":   bson.M{"order_id": string(n.OrderID), "attempt": n.Attempt, "sent_at": n.SentAt},
				"$unset": bson.M{"claim": ""},
			},
			options.UpdateOne().SetUpsert(insert))
		return err
	}
	err := record(true)
	if err != nil && isDuplicate(err) {
		// It is recorded, or was inserted by a claim at this moment.
		err = record(false)
	}
	if err != nil {
		return fmt.Errorf("record delivery of event %s by %s: %w", c.id.EventID, c.id.Channel, classify(ctx, err))
	}
	return nil
}

// Release gives the claim back. See [ports.DeliveryClaim].
func (c *deliveryClaim) Release(ctx context.Context) error {
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	longAgo := time.UnixMilli(0) // free by every clock
	_, err := c.store.deliveries.UpdateOne(ctx,
		bson.M{"_id": c.id, "claim.token": c.token},
		bson.M{"$set": bson.M{"claim.free_at": longAgo}})
	if err != nil {
		return fmt.Errorf("release delivery of event %s by %s: %w", c.id.EventID, c.id.Channel, classify(ctx, err))
	}
	return nil
}
