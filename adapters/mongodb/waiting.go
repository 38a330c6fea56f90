package mongodb

import (
	"context"
	"fmt"
	"maps"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// ClaimDue claims notifications whose next try has come. See [ports.DeliveryLog].
func (d *Deliveries) ClaimDue(ctx context.Context, channel string, limit int) (_ []ports.WaitingDelivery, err error) {
	defer describe(&err, "claim due notifications of %s", channel)
	due := bson.M{
		"wait.channel":  channel,
		"wait.next_try": bson.M{"$exists": true, "$lte": time.Now()}, // $exists, as the index has it
	}
	return d.claimWaiting(ctx, due, longestDueFirst, limit)
}

// ClaimHeld claims notifications that the pause holds. See [ports.DeliveryLog].
func (d *Deliveries) ClaimHeld(ctx context.Context, by domain.PauseKey, limit int) (_ []ports.WaitingDelivery, err error) {
	defer describe(&err, "claim held notifications of %s %s", by.Channel, by.Receiver)
	held := bson.M{
		"wait.held_by":         bson.M{"$exists": true}, // as the index has it
		"wait.held_by.channel": by.Channel, "wait.held_by.receiver": by.Receiver,
	}
	return d.claimWaiting(ctx, held, longestHeldFirst, limit)
}

// claimWaiting claims the first records that match the filter and that nobody has
// claimed. It also reads the claimed ones in the index, which are few. If the process
// dies after this, the claims end with its owner.
func (d *Deliveries) claimWaiting(ctx context.Context, filter bson.M, order bson.D, limit int) ([]ports.WaitingDelivery, error) {
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	limit = min(max(limit, 1), ports.MaxListLimit)
	token := d.store.owner.token()
	filter["wait.claim.token"] = bson.M{"$ne": token} // even if the lease has ended already
	var claimed []ports.WaitingDelivery
	var unreadable skipped
	defer func() { unreadable.log(ctx, d.store.options.Logger, d.store.deliveries) }()
	for len(claimed) < limit {
		want := limit - len(claimed)
		found, documents, err := d.takeWaiting(ctx, filter, order, want, token)
		if err != nil && len(claimed) > 0 {
			return claimed, nil // the next call returns the error, if it lasts
		}
		if err != nil {
			return nil, err
		}
		for _, document := range documents {
			waiting, err := readWaiting(document)
			if err != nil {
				unreadable.add(document, err) // it stays claimed, so that it does not come first in each call
				continue
			}
			waiting.Claim = &waitingClaim{d.store, idOfKey(waiting.Notification.Key()), token}
			claimed = append(claimed, waiting)
		}
		if found < want {
			break
		}
		// Another call may have claimed some of them first, or some are unreadable.
	}
	return claimed, nil
}

// takeWaiting finds up to want records and claims them. It returns how many it
// found, and those that it has claimed.
func (d *Deliveries) takeWaiting(
	ctx context.Context, filter bson.M, order bson.D, want int, token string,
) (found int, claimed []bson.Raw, err error) {
	filter = maps.Clone(filter)
	filter["wait.claim.free_at"] = ended(d.ClaimLease())
	documents, err := find(ctx, d.store.deliveries, filter, first(want, order).SetProjection(bson.M{"_id": 1}))
	if err != nil || len(documents) == 0 {
		return 0, nil, err
	}
	ids := bson.M{"$in": idsOf(documents)}
	filter["_id"], filter["wait.claim.free_at"] = ids, ended(d.ClaimLease())
	claim := waitingClaimDocument{Token: token, FreeAt: time.Now().Add(d.ClaimLease())}
	result, err := d.store.deliveries.UpdateMany(ctx, filter, bson.M{"$set": bson.M{"wait.claim": claim}})
	if err != nil {
		return 0, nil, fmt.Errorf("take claims: %w", classify(ctx, err))
	}
	if result.ModifiedCount == 0 {
		return len(documents), nil, nil
	}
	claimed, err = find(ctx, d.store.deliveries, bson.M{"_id": ids, "wait.claim.token": token}, first(want, order))
	return len(documents), claimed, err
}

// waitingClaim is a claim on a notification that waits. It is a field of its
// record, so a record without it can't be the claim's any more.
type waitingClaim struct {
	store *Store
	id    deliveryID
	token string
}

// Record stores the notification. See [ports.DeliveryClaim].
func (c *waitingClaim) Record(ctx context.Context, n domain.Notification, event domain.Event) (err error) {
	defer describe(&err, "record delivery of %s", c.id)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	r := newRecord(c.id, n, event)
	if n.State == domain.Sent {
		return c.store.replaceWithSent(ctx, r)
	}
	if n.State == domain.Dead {
		// Free the claim that came before the record, so that a replay can take it.
		// While the record waits, nobody takes it.
		if err := c.store.freeClaim(ctx, bson.M{"_id": c.id}); err != nil {
			return err
		}
	}
	return c.store.replace(ctx, r, bson.M{"wait.claim.token": c.token})
}

// Release gives up the claim. See [ports.DeliveryClaim].
func (c *waitingClaim) Release(ctx context.Context) (err error) {
	defer describe(&err, "release delivery of %s", c.id)
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	_, err = c.store.deliveries.UpdateOne(ctx, bson.M{"_id": c.id, "wait.claim.token": c.token}, dropClaim)
	if err != nil {
		return classify(ctx, err)
	}
	return nil
}

// dropClaim ends the claim of a record that waits.
var dropClaim = bson.M{"$unset": bson.M{"wait.claim": ""}}

// waitingClaimDocument is the claim in a record that waits.
type waitingClaimDocument struct {
	Token  string    `bson:"token"`
	FreeAt time.Time `bson:"free_at"` // when the claim ends
}
