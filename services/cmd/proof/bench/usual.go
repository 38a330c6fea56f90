package main

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

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
