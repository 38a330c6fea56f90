package main

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// The usual way: one insert and one confirmed publish for each request, to disk
// both, over channels that are kept. What it has answered with 201 is in the
// store and in the broker, like ours.
//
// It does not promise what lies between the two: a service that dies there
// leaves an order of which nobody is ever told, and so does a client that gives
// up there. While the broker is away it takes no orders, though it has stored
// them. A notification that was sent and not acknowledged goes out again.

var usualWriteConcern = func() *writeconcern.WriteConcern {
	journal := true
	return &writeconcern.WriteConcern{W: "majority", Journal: &journal}
}()

// usualChannels is how many events are on their way at once: a channel is used
// by one request at a time.
const usualChannels = 64

func placeUsual(connection *amqp.Connection, orders *mongo.Collection) (placeFunc, error) {
	pool := make(chan *amqp.Channel, usualChannels)
	for range usualChannels {
		channel, err := connection.Channel()
		if err != nil {
			return nil, fmt.Errorf("open a channel: %w", err)
		}
		if err := channel.Confirm(false); err != nil {
			return nil, fmt.Errorf("ask for confirmations: %w", err)
		}
		if len(pool) == 0 {
			if err := declareUsual(channel); err != nil {
				return nil, err
			}
		}
		pool <- channel
	}
	return func(ctx context.Context, order wayOrder, event []byte) error {
		if _, err := orders.InsertOne(ctx, order); err != nil {
			return fmt.Errorf("insert: %w", err)
		}
		var channel *amqp.Channel
		select {
		case channel = <-pool:
			defer func() { pool <- channel }()
		case <-ctx.Done():
			return ctx.Err()
		}
		confirmation, err := channel.PublishWithDeferredConfirmWithContext(ctx, "", usualQueue, false, false, amqp.Publishing{
			ContentType: "application/json", DeliveryMode: amqp.Persistent, MessageId: order.ID, Body: event,
		})
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		kept, err := confirmation.WaitContext(ctx)
		if err == nil && !kept {
			err = errors.New("the broker refused it")
		}
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		return nil
	}, nil
}

func declareUsual(channel *amqp.Channel) error {
	_, err := channel.QueueDeclare(usualQueue, true, false, false, false, quorum)
	if err != nil {
		return fmt.Errorf("declare the queue: %w", err)
	}
	return nil
}

// quorum is a queue like that of ours, as far as its speed is concerned.
var quorum = amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum, "x-delivery-limit": 20}

func consumeUsual(channel *amqp.Channel) (<-chan amqp.Delivery, error) {
	if err := declareUsual(channel); err != nil {
		return nil, err
	}
	if err := channel.Qos(200, 0, false); err != nil {
		return nil, err
	}
	return channel.Consume(usualQueue, "", false, false, false, false, nil)
}
