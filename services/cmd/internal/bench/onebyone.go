package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// One by one: the usual way with what it takes to promise as much as ours. The
// order is stored with a mark that its event waits, which goes once the broker
// has confirmed it, behind the answer; a notification is claimed before and
// recorded after it is sent. Each of them is a command of its own for each order.
//
// What the mark and the claim are for is left out here: a sweep of what a crash
// has left, claims that run out, retries and dead letters.

const oneByOneWorkers = 64 // that notify at once

// placeOneByOne adds to marks what goes on behind the answers.
func placeOneByOne(ctx context.Context, connection *amqp.Connection, orders *mongo.Collection, marks *sync.WaitGroup) (placeFunc, error) {
	waiting := mongo.IndexModel{Keys: bson.M{"outbox": 1}, Options: options.Index().SetSparse(true)}
	if _, err := orders.Indexes().CreateOne(ctx, waiting); err != nil {
		return nil, fmt.Errorf("create an index: %w", err)
	}
	place, err := placeUsual(connection, orders)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, order wayOrder, event []byte) error {
		order.Outbox = true
		if err := place(ctx, order, event); err != nil {
			return err
		}
		marks.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			_, err := orders.UpdateOne(ctx, bson.M{"_id": order.ID}, bson.M{"$unset": bson.M{"outbox": ""}})
			if err != nil {
				slog.Error("mark", "error", err)
			}
		})
		return nil
	}, nil
}

// logged keeps a log of deliveries in the store.
func logged(db *mongo.Database, tell func(amqp.Delivery) error) func(amqp.Delivery) error {
	claims, deliveries := db.Collection("delivery_claims"), db.Collection("deliveries")
	return func(delivery amqp.Delivery) error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_, err := claims.InsertOne(ctx, bson.M{"_id": delivery.MessageId, "free_at": time.Now().Add(time.Minute)})
		if mongo.IsDuplicateKeyError(err) {
			return delivery.Ack(false)
		}
		if err != nil {
			return fmt.Errorf("claim: %w", err)
		}
		if err := tell(delivery); err != nil {
			return err
		}
		if _, err := deliveries.InsertOne(ctx, bson.M{"_id": delivery.MessageId, "sent_at": time.Now()}); err != nil {
			return fmt.Errorf("record: %w", err)
		}
		return delivery.Ack(false)
	}
}
