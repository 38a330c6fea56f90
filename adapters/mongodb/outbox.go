package mongodb

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// batch limits how many events one command claims or marks. It is large because
// some servers sort all free events to find the first.
const batch = 4000

// Claim claims up to limit free events. See [ports.Outbox].
func (o *Orders) Claim(ctx context.Context, limit int) ([]domain.Event, error) {
	ctx, cancel := o.store.bound(ctx)
	defer cancel()

	// All rounds use one time, so that they don't find their own claims.
	c := claim{orders: o, now: time.Now(), token: o.store.owner.token()}
	defer func() { c.skipped.log(ctx, o.store.options.Logger, o.store.orders) }()
	latest := c.now.Add(o.ClaimLease() + ports.MaxReleaseDelay) // a later end was made by a wrong clock
	var events []domain.Event
	// A claim without an end is in no index and can't be found. $exists, as the index
	// has it.
	ended := bson.M{"$exists": true, "$lte": c.now}
	invalid := bson.M{"$exists": true, "$not": bson.M{"$lte": latest}}
	for _, free := range []bson.M{ended, invalid} {
		for len(events) < limit {
			want := min(limit-len(events), batch)
			found, claimed, err := c.round(ctx, free, want)
			if err != nil && len(events) > 0 {
				return events, nil // the next call returns the error, if it lasts
			}
			if err != nil {
				return nil, fmt.Errorf("claim events: %w", err)
			}
			events = append(events, claimed...)
			if found < want {
				break
			}
			// Another call may have claimed some of them first, or some are unreadable.
		}
	}
	return events, nil
}

type claim struct {
	orders  *Orders
	now     time.Time
	token   string
	skipped skipped
}

// round finds up to want free events and claims them. It returns how many it
// found, and the events that it has claimed.
func (c *claim) round(ctx context.Context, free bson.M, want int) (found int, claimed []domain.Event, err error) {
	collection := c.orders.store.orders
	documents, err := find(ctx, collection, bson.M{"outbox.free_at": free}, first(want, longestFreeFirst))
	if err != nil || len(documents) == 0 {
		return 0, nil, err
	}
	ids := idsOf(documents)
	result, err := collection.UpdateMany(ctx,
		bson.M{"_id": bson.M{"$in": ids}, "outbox.free_at": free},
		bson.M{"$set": bson.M{"outbox.free_at": c.now.Add(c.orders.ClaimLease()), "outbox.claim": c.token}})
	if err != nil {
		return 0, nil, classify(ctx, err)
	}
	found = len(documents)
	switch result.ModifiedCount {
	case int64(found):
	case 0:
		return found, nil, nil
	default:
		if documents, err = c.keepClaimed(ctx, documents, ids); err != nil {
			return 0, nil, err
		}
	}
	for _, document := range documents {
		order, err := readOrder(document)
		if err != nil {
			c.skipped.add(document, err) // it stays claimed, so that it does not come first in each Claim
			continue
		}
		event := order.Created()
		event.Origin = readOrigin(document.Lookup("outbox", "origin"))
		claimed = append(claimed, event)
	}
	return found, claimed, nil
}

// keepClaimed returns those of the documents that this claim holds.
func (c *claim) keepClaimed(ctx context.Context, documents []bson.Raw, ids bson.A) ([]bson.Raw, error) {
	found, err := find(ctx, c.orders.store.orders,
		bson.M{"_id": bson.M{"$in": ids}, "outbox.claim": c.token},
		options.Find().SetProjection(bson.M{"_id": 1}).SetBatchSize(batch+1))
	if err != nil {
		return nil, err
	}
	claimed := make(map[string]bool, len(found))
	for _, document := range found {
		claimed[document.Lookup("_id").String()] = true
	}
	return slices.DeleteFunc(documents, func(document bson.Raw) bool {
		return !claimed[document.Lookup("_id").String()]
	}), nil
}

// MarkPublished takes the events out of the outbox. See [ports.Outbox].
func (o *Orders) MarkPublished(ctx context.Context, ids ...domain.EventID) (err error) {
	defer describe(&err, "mark %d events as published", len(ids))
	return o.update(ctx, ids, bson.M{}, bson.M{"$unset": bson.M{"outbox": ""}})
}

// Release gives up the claims on the events. See [ports.Outbox].
func (o *Orders) Release(ctx context.Context, at time.Time, ids ...domain.EventID) (err error) {
	defer describe(&err, "release %d events", len(ids))
	if latest := time.Now().Add(ports.MaxReleaseDelay); at.After(latest) {
		at = latest
	}
	waiting := bson.M{"outbox": bson.M{"$exists": true}}
	return o.update(ctx, ids, waiting, freeFrom(at))
}

// freeFrom is the change that ends an event's claim. The event is free from the time on.
func freeFrom(at time.Time) bson.M {
	return bson.M{"$set": bson.M{"outbox.free_at": at}, "$unset": bson.M{"outbox.claim": ""}}
}

// update applies a change to the orders of the events, in batches. It adds their
// ids to the filter.
func (o *Orders) update(ctx context.Context, ids []domain.EventID, filter, change bson.M) error {
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	var orders []domain.OrderID
	for _, id := range ids {
		if order, ok := id.OrderID(); ok {
			orders = append(orders, order)
		}
	}
	for chunk := range slices.Chunk(orders, batch) {
		filter["_id"] = bson.M{"$in": chunk}
		if _, err := o.store.orders.UpdateMany(ctx, filter, change); err != nil {
			return classify(ctx, err)
		}
	}
	return nil
}
