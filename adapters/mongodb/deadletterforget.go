package mongodb

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/ports"
)

// forgetBatch is how many dead letters one command reads. Each may have a message of
// 15 MiB, but the server sends at most 16 MiB at once.
const forgetBatch = 100

// Forget implements [ports.DeadLetters]. It reads all letters by id, in batches, each
// with a timeout of its own. It changes one letter at a time: if the process dies, the
// next call finds the others.
func (d *DeadLetters) Forget(ctx context.Context, userID string) (forgotten int, err error) {
	defer describe(&err, "forget a user's dead letters")
	var unreadable skipped
	defer func() { unreadable.log(ctx, d.store.options.Logger, d.store.deadLetters) }()
	last := ""
	for {
		found, changed, err := d.forgetAfter(ctx, &last, userID, &unreadable)
		forgotten += changed
		if err != nil || found < forgetBatch {
			return forgotten, err
		}
	}
}

// forgetAfter reads the letters after the last id, and changes the user's.
func (d *DeadLetters) forgetAfter(
	ctx context.Context, last *string, userID string, unreadable *skipped,
) (found, changed int, err error) {
	ctx, cancel := d.store.bound(ctx)
	defer cancel()
	filter := retained(time.Now())
	filter["_id"] = bson.M{"$gt": *last}
	cursor, err := d.store.deadLetters.Find(ctx, filter, first(forgetBatch, byID))
	if err != nil {
		return 0, 0, classify(ctx, err)
	}
	defer cursor.Close(ctx)
	for cursor.Next(ctx) {
		found++
		*last, _ = cursor.Current.Lookup("_id").StringValueOK()
		record, err := readRecord(cursor.Current)
		if err != nil {
			unreadable.add(cursor.Current, err)
			continue
		}
		if !wire.IsAbout(record.Message, userID) {
			continue
		}
		if err := d.erase(ctx, record); err != nil {
			return found, changed, fmt.Errorf("erase dead letter %s: %w", record.ID, err)
		}
		changed++
	}
	if err := cursor.Err(); err != nil {
		return found, changed, classify(ctx, err)
	}
	return found, changed, nil
}

// erase removes what the letter says of its event's user. It first discards the letter if
// it waits, so that nobody replays it.
func (d *DeadLetters) erase(ctx context.Context, record ports.DeadLetterRecord) error {
	id := record.ID
	now := time.Now()
	discarded := bson.M{
		"state": string(ports.Discarded), "settled_at": now, "settled_by": ports.SettledByForget,
		"forget_at": now.Add(d.store.options.DeadLetterRetention),
	}
	waiting := bson.M{"_id": id, "state": string(ports.Waiting)}
	result, err := d.store.deadLetters.UpdateOne(ctx, waiting, bson.M{"$set": discarded})
	if err == nil && result.ModifiedCount > 0 {
		err = d.store.countLetter(ctx, id, record.Subscription, ports.Waiting, ports.Discarded)
	}
	if err != nil {
		return classify(ctx, err)
	}
	emptied := bson.M{"body": bson.Binary{}, "headers": bson.A{}, "failures.$[].reason": "", "reason_group": ""}
	change := bson.M{"$set": emptied, "$unset": bson.M{"user_id": ""}}
	if _, err := d.store.deadLetters.UpdateOne(ctx, bson.M{"_id": id}, change); err != nil {
		return classify(ctx, err)
	}
	return nil
}
