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

func (id deliveryID) key() string { return id.EventID + " " + id.Channel }

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

// take inserts the claim together with those of others. Only who meets a
// document of that id looks closer, for itself.
func (c *deliveryClaim) take(ctx context.Context, lease time.Duration) error {
	err := c.store.claims.Do(ctx, newClaim{id: c.id, token: c.token, lease: lease})
	switch {
	case err == nil:
		return nil
	case isDuplicate(err):
		return c.takeOver(ctx, lease)
	}
	return classify(ctx, err)
}

// takeOver takes a claim that has run out. Whoever loses the race for it makes
// the server try to insert a second document of that id.
func (c *deliveryClaim) takeOver(ctx context.Context, lease time.Duration) error {
	for range 2 { // the second look says why the first try was in vain
		there, err := c.store.deliveries.FindOne(ctx, bson.M{"_id": c.id}).Raw()
		if err == nil {
			if err := standing(there, time.Now()); err != nil {
				return err
			}
		} else if !errors.Is(err, mongo.ErrNoDocuments) {
			return classify(ctx, err)
		}
		now := time.Now()
		_, err = c.store.deliveries.UpdateOne(ctx,
			bson.M{"_id": c.id, "claim.free_at": bson.M{"$lte": now}},
			bson.M{"$set": bson.M{"claim": claimDocument{Token: c.token, FreeAt: now.Add(lease)}}},
			options.UpdateOne().SetUpsert(true))
		if err == nil {
			return nil
		}
		if !isDuplicate(err) {
			return classify(ctx, err)
		}
	}
	return ports.ErrClaimed
}

// newClaim is a claim that waits to be written together with others.
type newClaim struct {
	id    deliveryID
	token string
	lease time.Duration
}

func (c newClaim) Key() string { return c.id.key() }

func (c newClaim) Size() int { return len(c.id.key()) + 150 }

// insertClaims writes claims of several callers. They begin now, however long
// one has waited.
func (s *Store) insertClaims(ctx context.Context, claims []newClaim) []error {
	ctx, cancel := s.boundBatch(ctx)
	defer cancel()
	type document struct {
		ID    deliveryID    `bson:"_id"`
		Claim claimDocument `bson:"claim"`
	}
	now := time.Now()
	documents := make([]document, len(claims))
	for i, c := range claims {
		documents[i] = document{ID: c.id, Claim: claimDocument{Token: c.token, FreeAt: now.Add(c.lease)}}
	}
	_, err := s.deliveries.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	return each(len(documents), err)
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
	r := record{id: c.id, notification: n}
	err := c.store.records.Do(ctx, r)
	if err != nil && isDuplicate(err) {
		// It is recorded, or was inserted by a claim at this moment.
		_, err = c.store.deliveries.UpdateOne(ctx, r.filter(), r.update())
	}
	if err != nil {
		return fmt.Errorf("record delivery of event %s by %s: %w", c.id.EventID, c.id.Channel, classify(ctx, err))
	}
	return nil
}

// record is a notification that waits to be written together with others. It
// is an update that may have to insert, and changes nothing that is recorded.
type record struct {
	id           deliveryID
	notification domain.Notification
}

func (r record) Key() string { return r.id.key() }

func (r record) Size() int { return len(r.id.key()) + 300 }

func (r record) filter() bson.M {
	return bson.M{"_id": r.id, "sent_at": bson.M{"$exists": false}}
}

func (r record) update() bson.M {
	n := r.notification
	return bson.M{
		"$set":   bson.M{"order_id": string(n.OrderID), "attempt": n.Attempt, "sent_at": n.SentAt},
		"$unset": bson.M{"claim": ""},
	}
}

// updateRecords writes records of several callers.
func (s *Store) updateRecords(ctx context.Context, records []record) []error {
	ctx, cancel := s.boundBatch(ctx)
	defer cancel()
	models := make([]mongo.WriteModel, len(records))
	for i, r := range records {
		models[i] = mongo.NewUpdateOneModel().SetFilter(r.filter()).SetUpdate(r.update()).SetUpsert(true)
	}
	_, err := s.deliveries.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	return each(len(models), err)
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
