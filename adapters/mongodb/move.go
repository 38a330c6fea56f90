package mongodb

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// The methods here are for moving the data of another store into this one. The ports
// don't have them, because no service needs them.

// Waiting returns those of the events that are in the outbox, claimed or not.
func (o *Orders) Waiting(ctx context.Context, ids ...domain.EventID) (waiting []domain.EventID, err error) {
	defer describe(&err, "find %d events in the outbox", len(ids))
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	events := make(map[string]domain.EventID, len(ids))
	keys := bson.A{}
	for _, id := range ids {
		if order, ok := id.OrderID(); ok {
			events[string(order)] = id
			keys = append(keys, string(order))
		}
	}
	found, err := find(ctx, o.store.orders, bson.M{"_id": bson.M{"$in": keys}, "outbox": bson.M{"$exists": true}}, options.Find().SetProjection(bson.M{"_id": 1}))
	for _, document := range found {
		order, _ := document.Lookup("_id").StringValueOK()
		waiting = append(waiting, events[order])
	}
	return waiting, err
}

// ClaimWaiting claims the notification with this key if it waits, whenever its next try
// is.
//
// ErrNotFound is returned when it does not wait, or another caller holds its claim.
func (d *Deliveries) ClaimWaiting(ctx context.Context, key domain.NotificationKey) (_ ports.DeliveryClaim, err error) {
	defer describe(&err, "claim waiting delivery of %s by %s", key, key.Channel)
	claimed, err := d.claimWaiting(ctx, bson.M{"_id": idOfKey(key), "wait": bson.M{"$exists": true}}, bson.D{{Key: "_id", Value: 1}}, 1)
	switch {
	case err != nil:
		return nil, err
	case len(claimed) == 0:
		return nil, ports.ErrNotFound
	}
	return claimed[0].Claim, nil
}

// Import stores the record as it is, with its state and all its failures, in place of the
// record before, as Get returned it. If that has no ID, none is stored yet.
//
// ErrChanged is returned when the stored record is another one than before. An error marked
// by [ports.Permanent] is returned when the record is too large.
func (d *DeadLetters) Import(ctx context.Context, before, record ports.DeadLetterRecord) (err error) {
	defer describe(&err, "import dead letter %s", record.ID)
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	document := d.document(record)
	if before.ID != "" {
		result, err := d.store.deadLetters.ReplaceOne(ctx, unchanged(time.Now(), before), document)
		switch {
		case err != nil:
			return classify(ctx, err)
		case result.MatchedCount == 0:
			return ports.ErrChanged
		}
		return d.store.countLetter(ctx, record.ID, record.Subscription, before.State, record.State)
	}
	forgotten := bson.M{"_id": record.ID, "forget_at": bson.M{"$lte": time.Now()}}
	if _, err := d.store.deadLetters.DeleteOne(ctx, forgotten); err != nil {
		return classify(ctx, err)
	}
	_, err = d.store.deadLetters.InsertOne(ctx, document)
	switch {
	case isDuplicate(err):
		return ports.ErrChanged
	case err != nil:
		return classify(ctx, err)
	}
	return d.store.countLetter(ctx, record.ID, record.Subscription, "", record.State)
}

func (d *DeadLetters) document(record ports.DeadLetterRecord) bson.D {
	document := messageDocument(ports.DeadLetter{
		ID: record.ID, Subscription: record.Subscription, Message: record.Message, Failure: ports.Failure{FirstFailure: record.Since},
	})
	failures := make([]failureDocument, len(record.Failures))
	for i, failure := range record.Failures {
		failures[i] = failureDocument(failure)
	}
	document = slices.Concat(bson.D{{Key: "_id", Value: record.ID}}, document,
		bson.D{{Key: "state", Value: string(record.State)}, {Key: "failures", Value: failures},
			{Key: "reason_group", Value: ports.ReasonGroup(record.LatestFailure().Reason)}})
	if record.State != ports.Waiting {
		document = append(document, bson.D{
			{Key: "settled_at", Value: record.SettledAt}, {Key: "settled_by", Value: record.SettledBy},
			{Key: "forget_at", Value: record.SettledAt.Add(d.store.options.DeadLetterRetention)},
		}...)
	}
	return document
}
