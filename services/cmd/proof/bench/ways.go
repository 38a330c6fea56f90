package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"example.com/orderflow/services/cmd/proof/harness"
)

// declare declares the way's queue, and returns its name.
func (c *wayCommand) declare(channel *amqp.Channel) (string, error) {
	name, durable, arguments := usualQueue, true, quorum
	if c.Way == original {
		name, durable, arguments = originalQueue, false, nil
	}
	_, err := channel.QueueDeclare(name, durable, false, false, false, arguments)
	return name, err
}

// The original's way inserts the order and then publishes its event. For each event it
// opens a channel, declares the queue, and closes the channel.
//
// It answers 201 once the server has the order, and hopes for the event: nothing
// confirms it, the queue is lost when the broker stops, and the broker takes each event
// as handled when it delivers it. If the service dies between insert and publish, or
// the broker is down, nobody is notified of the order.

func (c *wayCommand) placeOriginal(ctx context.Context, order wayOrder, event []byte) error {
	if _, err := c.orders.InsertOne(ctx, order); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	channel, err := c.connection.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	defer channel.Close()
	queue, err := c.declare(channel)
	if err != nil {
		return fmt.Errorf("declare the queue: %w", err)
	}
	return channel.PublishWithContext(ctx, "", queue, false, false, amqp.Publishing{
		ContentType: "application/json", Body: event,
	})
}

// The usual way does one insert and one confirmed publish for each request, both to
// disk, over channels that it keeps. Like ours, it answers 201 once the order is in the
// store and its event in the broker.
//
// It promises nothing between the two: if the service dies there, or the client gives
// up, nobody is notified of the order. While the broker is down it refuses orders,
// though it has stored them. A notification without an acknowledgement is sent again.

var usualWriteConcern = &writeconcern.WriteConcern{W: "majority", Journal: new(true)}

// quorum makes a queue that is as fast as ours.
var quorum = amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum, "x-delivery-limit": 20}

// usualChannels bounds the events under way: a channel serves one request at a time.
const usualChannels = 64

func (c *wayCommand) openChannels() {
	c.channels = make(chan *amqp.Channel, usualChannels)
	for range usualChannels {
		channel := must(c.connection.Channel())
		check(channel.Confirm(false))
		must(c.declare(channel))
		c.channels <- channel
	}
}

func (c *wayCommand) placeUsual(ctx context.Context, order wayOrder, event []byte) error {
	if _, err := c.orders.InsertOne(ctx, order); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	var channel *amqp.Channel
	select {
	case channel = <-c.channels:
		defer func() { c.channels <- channel }()
	case <-ctx.Done():
		return ctx.Err()
	}
	confirmation, err := channel.PublishWithDeferredConfirmWithContext(ctx, "", usualQueue, false, false, amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, MessageId: order.ID, Body: event,
	})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return awaitConfirm(ctx, confirmation)
}

func awaitConfirm(ctx context.Context, confirmation *amqp.DeferredConfirmation) error {
	kept, err := confirmation.WaitContext(ctx)
	if err == nil && !kept {
		err = errors.New("the broker refused the event")
	}
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

func sendUsual(delivery amqp.Delivery) error {
	if err := logOrder(delivery); err != nil {
		return err
	}
	return delivery.Ack(false)
}

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
		if _, err := c.orders.UpdateOne(context.WithoutCancel(ctx), bson.M{"_id": order.ID}, unmark); err != nil {
			slog.Error("mark", "error", err)
		}
	})
	return nil
}

// unmark removes the mark.
var unmark = bson.M{"$unset": bson.M{"outbox": ""}}

// sendOutboxed claims each delivery, sends it, and records it. The client of the store
// bounds each command.
func (c *wayCommand) sendOutboxed(delivery amqp.Delivery) error {
	ctx := context.Background()
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
