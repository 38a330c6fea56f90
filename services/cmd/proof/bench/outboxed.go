package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/services/cmd/proof/harness"
)

// The usual way with an outbox and a delivery log stores the order with a mark that its
// event waits. It removes the mark after the broker's confirm and the answer. It claims
// a notification before it sends it, and records it afterwards. Each of these is a
// command of its own for each order.
//
// Unlike ours, the answer still waits for the broker: while the broker is down, this
// way answers 500 for an order that it has stored. It marks what a crash leaves, but
// nothing looks for it: no sweep of the outbox, no claims that run out, no retries and
// no dead letters. If the notifier dies between claim and notification, the order is
// never notified.

const (
	outboxedWorkers = 64 // notify at the same time
	outboxedLease   = 15 * time.Second
)

// wayOutbox marks an order whose event may not be published.
type wayOutbox struct {
	FreeAt time.Time `bson:"free_at"` // a sweep could take it from then on
}

var outboxIndex = mongo.IndexModel{Keys: bson.M{"outbox.free_at": 1}, Options: options.Index().SetSparse(true)}

func (c *wayCommand) placeOutboxed(ctx context.Context, order wayOrder, event []byte) error {
	order.Outbox = &wayOutbox{time.Now().Add(outboxedLease)}
	if err := c.placeUsual(ctx, order, event); err != nil {
		return err
	}
	c.marks.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if _, err := c.orders.UpdateOne(ctx, bson.M{"_id": order.ID}, unmark); err != nil {
			slog.Error("mark", "error", err)
		}
	})
	return nil
}

// unmark removes the mark.
var unmark = bson.M{"$unset": bson.M{"outbox": ""}}

// sendOutboxed claims each delivery, sends it, and records it.
func (c *wayCommand) sendOutboxed(delivery amqp.Delivery) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := c.db.Collection(harness.Claims).InsertOne(ctx, bson.M{"_id": delivery.MessageId, "free_at": time.Now().Add(time.Minute)})
	if mongo.IsDuplicateKeyError(err) {
		return delivery.Ack(false)
	}
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if err := logOrder(delivery); err != nil {
		return err
	}
	_, err = c.db.Collection(harness.Deliveries).InsertOne(ctx, bson.M{"_id": delivery.MessageId, "sent_at": time.Now()})
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return delivery.Ack(false)
}
