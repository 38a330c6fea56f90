package mongodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/ports"
)

// DeadLetters stores dead letters, one document for each ID.
type DeadLetters struct{ store *Store }

var _ ports.DeadLetters = (*DeadLetters)(nil)

// DeadLetters returns the store's dead letters.
func (s *Store) DeadLetters() *DeadLetters { return &s.parts.deadLetters }

// retained selects records whose retention is not over at that time. The server
// deletes the others, but only once a minute.
func retained(at time.Time) bson.M {
	return bson.M{"forget_at": bson.M{"$not": bson.M{"$lte": at}}}
}

func retainedWithID(at time.Time, id string) bson.M {
	filter := retained(at)
	filter["_id"] = id
	return filter
}

// settlement has the fields that a waiting record does not have, for $unset.
var settlement = bson.M{"settled_at": "", "settled_by": "", "forget_at": ""}

// Put implements [ports.DeadLetters].
func (d *DeadLetters) Put(ctx context.Context, letter ports.DeadLetter) (err error) {
	defer describe(&err, "put dead letter %s", letter.ID)
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	message, err := bson.Marshal(messageDocument(letter))
	if err != nil {
		return err
	}
	if len(message) > maxMessage {
		return ports.Permanent(fmt.Errorf("it takes %d bytes, the limit is %d", len(message), maxMessage))
	}
	change := bson.M{
		"$setOnInsert": bson.Raw(message),
		"$set":         bson.M{"state": string(ports.Waiting)},
		"$unset":       settlement,
		"$push": bson.M{"failures": bson.M{
			"$each": bson.A{failureDocument(letter.Failure)}, "$sort": bson.M{"last_failure": 1}, "$slice": -ports.MaxFailures,
		}},
	}
	before, subscription, latest, err := d.stateOf(ctx, letter.ID)
	if err != nil {
		return err
	}
	if !letter.Failure.LastFailure.Before(latest) {
		change["$set"] = bson.M{"state": string(ports.Waiting), "reason_group": ports.ReasonGroup(letter.Failure.Reason)}
	}
	for {
		filter := retainedWithID(time.Now(), letter.ID)
		filter["failures.last_failure"] = bson.M{"$ne": letter.Failure.LastFailure}
		_, err := d.store.deadLetters.UpdateOne(ctx, filter, change, options.UpdateOne().SetUpsert(true))
		if err == nil {
			return d.store.countLetter(ctx, letter.ID, subscription, before, ports.Waiting)
		}
		if !isDuplicate(err) {
			return d.explain(ctx, letter.ID, err)
		}
		// A document with the ID exists, so the server could not insert another. Either
		// it has this failure, or its retention is over, or another call inserted it
		// during the update; then the next update finds it.
		filter["failures.last_failure"] = letter.Failure.LastFailure
		if known, err := d.exists(ctx, filter); known || err != nil {
			return err
		}
		forgotten := bson.M{"_id": letter.ID, "forget_at": bson.M{"$lte": time.Now()}}
		if _, err := d.store.deadLetters.DeleteOne(ctx, forgotten); err != nil {
			return classify(ctx, err)
		}
	}
}

// explain returns the cause of an update's error. A server may refuse to update a
// document that we could not have written.
func (d *DeadLetters) explain(ctx context.Context, id string, err error) error {
	const badValue = 2
	var answer mongo.ServerError
	if errors.As(err, &answer) && answer.HasErrorCode(badValue) {
		var unreadable *ports.UnreadableError
		if _, kept := d.Get(ctx, id); errors.As(kept, &unreadable) {
			return ports.Permanent(fmt.Errorf("%w: %w", unreadable, err))
		}
	}
	return classify(ctx, err)
}

// exists reports whether the filter selects a record.
func (d *DeadLetters) exists(ctx context.Context, filter bson.M) (bool, error) {
	err := d.store.deadLetters.FindOne(ctx, filter, options.FindOne().SetProjection(bson.M{"_id": 1})).Err()
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, mongo.ErrNoDocuments):
		return false, nil
	}
	return false, classify(ctx, err)
}

// Get implements [ports.DeadLetters].
func (d *DeadLetters) Get(ctx context.Context, id string) (record ports.DeadLetterRecord, err error) {
	defer describe(&err, "get dead letter %s", id)
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	document, err := d.store.deadLetters.FindOne(ctx, retainedWithID(time.Now(), id)).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return record, ports.ErrNotFound
	}
	if err != nil {
		return record, classify(ctx, err)
	}
	return readRecord(document)
}

// List implements [ports.DeadLetters].
func (d *DeadLetters) List(ctx context.Context, query ports.DeadLetterQuery) (page ports.DeadLetterPage, err error) {
	defer describe(&err, "list dead letters")
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	filter, err := letterFilter(query)
	if err != nil {
		return page, err
	}
	opts := options.Find().SetSort(oldestFirst).SetProjection(listedFields)
	if query.OrderID != "" {
		opts.SetHint(bson.D{{Key: "_id", Value: 1}}) // some servers would scan all letters in the order of the list
	}
	found, err := findPage(ctx, d.store, d.store.deadLetters, filter, opts, query.Limit, readListedRecord)
	if err != nil {
		return page, err
	}
	page.Records, page.Unreadable = found.records, found.skipped.Count
	if found.more {
		page.NextCursor = cursor.EncodeLetter(cursor.OfLetter(found.last()))
	}
	return page, nil
}

func letterFilter(query ports.DeadLetterQuery) (bson.M, error) {
	filter := retained(time.Now())
	if query.State != "" {
		filter["state"] = string(query.State)
	}
	if query.Subscription != nil {
		filter["subscription"] = *query.Subscription
		if *query.Subscription == "" {
			filter["subscription"] = nil // the main queue's letters lack the field
		}
	}
	for name, value := range map[string]string{"event_type": query.EventType, "user_id": query.UserID, "reason_group": query.Group} {
		if value != "" {
			filter[name] = value
		}
	}
	if period := periodOf(query.From, query.To); len(period) > 0 {
		filter["$and"] = bson.A{bson.M{"since": period}} // beside the condition of the cursor
	}
	if query.OrderID != "" {
		filter["_id"] = bson.M{"$gte": string(query.OrderID) + "-", "$lt": string(query.OrderID) + "."} // "." follows "-" in ASCII
	}
	if query.Reason != "" {
		filter["$expr"] = latestReasonContains(query.Reason)
	}
	if query.Cursor == "" {
		return filter, nil
	}
	after, err := cursor.DecodeLetter(query.Cursor)
	if err != nil {
		return nil, err
	}
	// As in listFilter, the first condition is where an index scan starts. The others
	// exclude the letters of earlier pages.
	filter["since"] = bson.M{"$not": bson.M{"$lt": after.Since}, "$ne": nil}
	filter["$nor"] = bson.A{
		bson.M{"since": bson.M{"$type": typesBefore("date")}},
		bson.M{"since": after.Since, "_id": bson.M{"$lte": after.ID}},
		bson.M{"since": after.Since, "_id": bson.M{"$type": typesBefore("string")}},
	}
	return filter, nil
}

// latestReasonContains selects records whose latest reason contains the text, and
// records that can't be read because it is not a string.
func latestReasonContains(text string) bson.M {
	reasons := bson.M{"$cond": bson.A{bson.M{"$isArray": "$failures"}, "$failures.reason", bson.A{}}}
	latest := bson.M{"$arrayElemAt": bson.A{reasons, -1}}
	return bson.M{"$cond": bson.A{
		bson.M{"$eq": bson.A{bson.M{"$type": latest}, "string"}},
		bson.M{"$gte": bson.A{bson.M{"$indexOfBytes": bson.A{latest, bson.M{"$literal": text}}}, 0}},
		true,
	}}
}

// Settle implements [ports.DeadLetters].
func (d *DeadLetters) Settle(ctx context.Context, record ports.DeadLetterRecord, state ports.DeadLetterState, by string) (err error) {
	defer describe(&err, "settle dead letter %s", record.ID)
	if err := state.Check(); err != nil {
		return err
	}
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	now := time.Now()
	change := bson.M{"$set": bson.M{"state": string(state)}, "$unset": settlement}
	if state != ports.Waiting {
		forgetAt := now.Add(d.store.options.DeadLetterRetention)
		change = bson.M{"$set": bson.M{"state": string(state), "settled_at": now, "settled_by": by, "forget_at": forgetAt}}
	}
	result, err := d.store.deadLetters.UpdateOne(ctx, unchanged(now, record), change)
	if err != nil {
		return classify(ctx, err)
	}
	if result.MatchedCount > 0 {
		return d.store.countLetter(ctx, record.ID, record.Subscription, record.State, state)
	}
	exists, err := d.exists(ctx, retainedWithID(now, record.ID))
	switch {
	case err != nil:
		return err
	case exists:
		return ports.ErrChanged
	}
	return ports.ErrNotFound
}

// unchanged selects the record if it is as it was read: with the same state and failures.
func unchanged(now time.Time, read ports.DeadLetterRecord) bson.M {
	filter := retainedWithID(now, read.ID)
	filter["state"] = string(read.State)
	filter["settled_at"] = bson.M{"$exists": false}
	if !read.SettledAt.IsZero() {
		filter["settled_at"] = read.SettledAt
	}
	filter["$expr"] = failedAt(read)
	return filter
}

// failedAt is the condition that a record has the failures of the one that was read.
func failedAt(read ports.DeadLetterRecord) bson.M {
	times := bson.A{}
	for _, failure := range read.Failures {
		times = append(times, failure.LastFailure)
	}
	return bson.M{"$eq": bson.A{"$failures.last_failure", times}}
}
