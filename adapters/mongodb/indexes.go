package mongodb

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

type index struct {
	name   string
	keys   bson.D
	sparse bool // holds only documents with one of the keys
	expire bool // the server deletes documents after the time at the key

	// holds only documents with this field. Unlike a sparse index, it costs nothing for
	// other documents on a server with PostgreSQL. A query that uses it has the field.
	only string
}

var (
	newestFirst      = bson.D{{Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}
	longestFreeFirst = bson.D{{Key: "outbox.free_at", Value: 1}}
	oldestSentFirst  = bson.D{{Key: "sent_at", Value: 1}, {Key: "_id", Value: 1}}
	latestSentFirst  = bson.D{{Key: "sent_at", Value: -1}, {Key: "_id", Value: -1}}
	longestDueFirst  = bson.D{{Key: "wait.next_try", Value: 1}}
	longestHeldFirst = bson.D{{Key: "sent_at", Value: 1}}
	oldestFirst      = bson.D{{Key: "since", Value: 1}, {Key: "_id", Value: 1}}

	latestActionFirst = bson.D{{Key: "at", Value: -1}, {Key: "_id", Value: -1}}

	lateIndex = index{name: "late", keys: bson.D{{Key: "late", Value: 1}}, only: "late"}

	orderIndexes = []index{
		{name: "newest_first", keys: newestFirst},
		{name: "user_newest_first", keys: after(newestFirst, "user_id")},
		{name: "waiting", keys: longestFreeFirst, only: "outbox.free_at"},
		lateIndex,
	}
	// formerOrderIndex cost each order time when its event was marked as published.
	formerOrderIndex = index{name: "outbox", keys: longestFreeFirst}

	deliveryIndexes = []index{
		{name: "latest_first", keys: latestSentFirst},
		{name: "user_latest_first", keys: after(latestSentFirst, "user_id")},
		{name: "state_latest_first", keys: after(latestSentFirst, "state"), only: "state"},
		{name: "due", keys: after(longestDueFirst, "wait.channel"), only: "wait.next_try"},
		{name: "held", keys: after(longestHeldFirst, "wait.held_by.channel", "wait.held_by.receiver"), only: "wait.held_by"},
		{name: "claim", keys: bson.D{{Key: "wait.claim.token", Value: 1}}, only: "wait.claim.token"},
		lateIndex,
	}
	// formerDeliveryIndex found an order's deliveries. The ids find them, too.
	formerDeliveryIndex = index{name: "order", keys: bson.D{{Key: "order_id", Value: 1}}}
	deadLetterIndexes   = []index{
		{name: "oldest_first", keys: oldestFirst},
		{name: "state_oldest_first", keys: after(oldestFirst, "state")},
		{name: "user_oldest_first", keys: after(oldestFirst, "user_id"), only: "user_id"},
		{name: "groups", keys: after(oldestFirst, "state", "subscription", "reason_group")},
		{name: "forget", keys: bson.D{{Key: "forget_at", Value: 1}}, sparse: true, expire: true},
	}
	actionIndexes = []index{
		{name: "latest_first", keys: latestActionFirst},
		{name: "action_latest_first", keys: after(latestActionFirst, "action")},
		{name: "by_latest_first", keys: after(latestActionFirst, "by")},
		{name: "forget", keys: bson.D{{Key: "forget_at", Value: 1}}, expire: true},
	}
)

// after returns the keys of an order among documents that have the same fields.
func after(order bson.D, fields ...string) bson.D {
	var keys bson.D
	for _, field := range fields {
		keys = append(keys, bson.E{Key: field, Value: 1})
	}
	return append(keys, order...)
}

// createIndex builds the index unless it exists.
func createIndex(ctx context.Context, collection *mongo.Collection, index index) error {
	opts := options.Index().SetName(index.name)
	if index.sparse {
		opts.SetSparse(true)
	}
	if index.only != "" {
		opts.SetPartialFilterExpression(bson.M{index.only: bson.M{"$exists": true}})
	}
	if index.expire {
		opts.SetExpireAfterSeconds(0)
	}
	_, err := collection.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: index.keys, Options: opts})
	if err == nil || isRefused(err) && exists(ctx, collection, index) {
		return nil
	}
	if other, ok := conflicting(ctx, collection, index, err); ok {
		return fmt.Errorf("create index %s of collection %s: another index, %s, conflicts with it; "+
			"drop that one with db.%s.dropIndex(%q) and start again",
			index.name, collection.Name(), other, collection.Name(), other)
	}
	return fmt.Errorf("create index %s of collection %s: %w", index.name, collection.Name(), classify(ctx, err))
}

// conflicting returns the name of the index that the refused one conflicts with:
// it has the same name or the same keys.
func conflicting(ctx context.Context, collection *mongo.Collection, refused index, err error) (string, bool) {
	const optionsConflict, keySpecsConflict = 85, 86
	var answer mongo.ServerError
	if !errors.As(err, &answer) || !answer.HasErrorCode(optionsConflict) && !answer.HasErrorCode(keySpecsConflict) {
		return "", false
	}
	there, err := collection.Indexes().ListSpecifications(ctx)
	if err != nil {
		return "", false
	}
	return refused.find(there, func(sameName, sameKeys bool) bool { return sameName || sameKeys })
}

// exists reports whether the index was created before, by a user with that right.
func exists(ctx context.Context, collection *mongo.Collection, wanted index) bool {
	there, err := collection.Indexes().ListSpecifications(ctx)
	return err == nil && wanted.isIn(there)
}

// isIn reports whether one of the indexes has the name and the keys.
func (i index) isIn(there []mongo.IndexSpecification) bool {
	_, ok := i.find(there, func(sameName, sameKeys bool) bool { return sameName && sameKeys })
	return ok
}

// find returns the name of the first index that resembles i.
func (i index) find(there []mongo.IndexSpecification, resembles func(sameName, sameKeys bool) bool) (string, bool) {
	keys, err := bson.Marshal(i.keys)
	if err != nil {
		return "", false
	}
	for _, other := range there {
		if resembles(other.Name == i.name, bytes.Equal(other.KeysDocument, keys)) {
			return other.Name, true
		}
	}
	return "", false
}
