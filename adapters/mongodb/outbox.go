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

// batch is how many events one command claims or marks at most: many, for some
// servers sort all that is free to find the first of it.
const batch = 4000

// Claim claims up to limit free events. See [ports.Outbox].
func (o *Orders) Claim(ctx context.Context, limit int) ([]domain.Event, error) {
	ctx, cancel := o.store.bound(ctx)
	defer cancel()

	// One time for all rounds: what this call has claimed is not free to it.
	c := claim{orders: o, now: time.Now(), token: o.store.owner.token()}
	defer func() { c.passed.log(ctx, o.store.options.Logger, o.store.orders) }()
	lost := c.now.Add(o.ClaimLease() + ports.MaxPostponement) // made by a clock that was wrong
	var events []domain.Event
	// Nobody's is also a claim whose end is no time. One without any end is in
	// no index, and not found.
	nobodys := bson.M{"$exists": true, "$not": bson.M{"$lte": lost}}
	for _, free := range []bson.M{{"$lte": c.now}, nobodys} {
		for len(events) < limit {
			want := min(limit-len(events), batch)
			found, claimed, err := c.round(ctx, free, want)
			if err != nil && len(events) > 0 {
				return events, nil // they are worth more than the error, which will be back
			}
			if err != nil {
				return nil, fmt.Errorf("claim events: %w", err)
			}
			events = append(events, claimed...)
			if found < want {
				break
			}
			// Others were quicker with some, or some can't be read: there may be more.
		}
	}
	return events, nil
}

type claim struct {
	orders *Orders
	now    time.Time
	token  string
	passed passedOver
}

// round looks for up to want events that are free and claims what it can of
// them. It returns how many it found, and the events that are the caller's now.
func (c *claim) round(ctx context.Context, free bson.M, want int) (found int, claimed []domain.Event, err error) {
	collection := c.orders.store.orders
	documents, err := find(ctx, collection, bson.M{"outbox.free_at": free}, first(want, longestFreeFirst))
	if err != nil || len(documents) == 0 {
		return 0, nil, err
	}
	ids := make(bson.A, len(documents))
	for i, document := range documents {
		ids[i] = document.Lookup("_id")
	}
	result, err := collection.UpdateMany(ctx,
		bson.M{"_id": bson.M{"$in": ids}, "outbox.free_at": free},
		bson.M{"$set": bson.M{"outbox": outboxDocument{FreeAt: c.now.Add(c.orders.ClaimLease()), Claim: c.token}}})
	if err != nil {
		return 0, nil, classify(ctx, err)
	}
	found = len(documents)
	switch result.ModifiedCount {
	case int64(found):
	case 0:
		return found, nil, nil
	default:
		if documents, err = c.mine(ctx, documents, ids); err != nil {
			return 0, nil, err
		}
	}
	for _, document := range documents {
		order, err := readOrder(document)
		if err != nil {
			c.passed.add(document, err) // left claimed, so that it stops nobody until the claim runs out
			continue
		}
		claimed = append(claimed, order.Created())
	}
	return found, claimed, nil
}

// mine returns those of the documents that this claim got.
func (c *claim) mine(ctx context.Context, documents []bson.Raw, ids bson.A) ([]bson.Raw, error) {
	got, err := find(ctx, c.orders.store.orders,
		bson.M{"_id": bson.M{"$in": ids}, "outbox.claim": c.token},
		options.Find().SetProjection(bson.M{"_id": 1}).SetBatchSize(batch+1))
	if err != nil {
		return nil, err
	}
	mine := make(map[string]bool, len(got))
	for _, document := range got {
		mine[document.Lookup("_id").String()] = true
	}
	return slices.DeleteFunc(documents, func(document bson.Raw) bool {
		return !mine[document.Lookup("_id").String()]
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
	if latest := time.Now().Add(ports.MaxPostponement); at.After(latest) {
		at = latest
	}
	waiting := bson.M{"outbox": bson.M{"$exists": true}}
	return o.update(ctx, ids, waiting, bson.M{"$set": bson.M{"outbox": outboxDocument{FreeAt: at}}})
}

// update changes the orders of the events that the filter, which it changes,
// finds.
func (o *Orders) update(ctx context.Context, ids []domain.EventID, filter, change bson.M) error {
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	var orders []domain.OrderID
	for _, id := range ids {
		if order, ok := id.OrderID(); ok {
			orders = append(orders, order)
		}
	}
	for some := range slices.Chunk(orders, batch) {
		filter["_id"] = bson.M{"$in": some}
		if _, err := o.store.orders.UpdateMany(ctx, filter, change); err != nil {
			return classify(ctx, err)
		}
	}
	return nil
}
