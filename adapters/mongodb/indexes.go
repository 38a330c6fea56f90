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
}

var (
	newestFirst      = bson.D{{Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}
	longestFreeFirst = bson.D{{Key: "outbox.free_at", Value: 1}}
	oldestSentFirst  = bson.D{{Key: "sent_at", Value: 1}, {Key: "_id", Value: 1}}
	oldestFirst      = bson.D{{Key: "since", Value: 1}, {Key: "_id", Value: 1}}

	orderIndexes = []index{
		{name: "newest_first", keys: newestFirst},
		{name: "user_newest_first", keys: append(bson.D{{Key: "user_id", Value: 1}}, newestFirst...)},
		{name: "outbox", keys: longestFreeFirst, sparse: true},
	}
	deliveryIndexes = []index{
		{name: "order", keys: bson.D{{Key: "order_id", Value: 1}}}, // an order has few deliveries
	}
	deadLetterIndexes = []index{
		{name: "oldest_first", keys: oldestFirst},
		{name: "state_oldest_first", keys: append(bson.D{{Key: "state", Value: 1}}, oldestFirst...)},
		{name: "forget", keys: bson.D{{Key: "forget_at", Value: 1}}, sparse: true, expire: true},
	}
)

func createIndexes(ctx context.Context, collection *mongo.Collection, indexes []index) error {
	for _, index := range indexes {
		opts := options.Index().SetName(index.name)
		if index.sparse {
			opts.SetSparse(true)
		}
		if index.expire {
			opts.SetExpireAfterSeconds(0)
		}
		_, err := collection.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: index.keys, Options: opts})
		if err == nil || isRefused(err) && exists(ctx, collection, index) {
			continue
		}
		if other, ok := conflicting(ctx, collection, index, err); ok {
			return fmt.Errorf("create index %s of collection %s: another index, %s, conflicts with it; "+
				"drop that one with db.%s.dropIndex(%q) and start again",
				index.name, collection.Name(), other, collection.Name(), other)
		}
		return fmt.Errorf("create index %s of collection %s: %w", index.name, collection.Name(), classify(ctx, err))
	}
	return nil
}

// conflicting returns the name of the index that the refused one conflicts with:
// it has the same name or the same keys.
func conflicting(ctx context.Context, collection *mongo.Collection, refused index, err error) (string, bool) {
	const optionsConflict, keySpecsConflict = 85, 86
	var answer mongo.ServerError
	if !errors.As(err, &answer) || !answer.HasErrorCode(optionsConflict) && !answer.HasErrorCode(keySpecsConflict) {
		return "", false
	}
	return findIndex(ctx, collection, refused, func(sameName, sameKeys bool) bool { return sameName || sameKeys })
}

// exists reports whether the index was created before, by a user with that right.
func exists(ctx context.Context, collection *mongo.Collection, wanted index) bool {
	_, ok := findIndex(ctx, collection, wanted, func(sameName, sameKeys bool) bool { return sameName && sameKeys })
	return ok
}

// findIndex returns the name of the collection's first index that resembles the
// wanted one.
func findIndex(ctx context.Context, collection *mongo.Collection, wanted index, resembles func(sameName, sameKeys bool) bool) (string, bool) {
	keys, err := bson.Marshal(wanted.keys)
	if err != nil {
		return "", false
	}
	there, err := collection.Indexes().ListSpecifications(ctx)
	if err != nil {
		return "", false
	}
	for _, other := range there {
		if resembles(other.Name == wanted.name, bytes.Equal(other.KeysDocument, keys)) {
			return other.Name, true
		}
	}
	return "", false
}
