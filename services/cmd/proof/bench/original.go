package main

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// The original's way inserts the order and then publishes its event. For each event it
// opens a channel, declares the queue, and closes the channel.
//
// It answers 201 once the server has the order, and hopes for the event: nothing
// confirms it, the queue is lost when the broker stops, and the broker takes each event
// as handled when it delivers it. If the service dies between insert and publish, or
// the broker is down, nobody is notified of the order.

func placeOriginal(connection *amqp.Connection, orders *mongo.Collection) placeFunc {
	return func(ctx context.Context, order wayOrder, event []byte) error {
		if _, err := orders.InsertOne(ctx, order); err != nil {
			return fmt.Errorf("insert: %w", err)
		}
		channel, err := connection.Channel()
		if err != nil {
			return fmt.Errorf("open a channel: %w", err)
		}
		defer channel.Close()
		queue, err := declareOriginal(channel)
		if err != nil {
			return err
		}
		return channel.PublishWithContext(ctx, "", queue.Name, false, false, amqp.Publishing{
			ContentType: "application/json", Body: event,
		})
	}
}

func declareOriginal(channel *amqp.Channel) (amqp.Queue, error) {
	queue, err := channel.QueueDeclare(originalQueue, false, false, false, false, nil)
	if err != nil {
		return queue, fmt.Errorf("declare the queue: %w", err)
	}
	return queue, nil
}

func consumeOriginal(channel *amqp.Channel) (<-chan amqp.Delivery, error) {
	queue, err := declareOriginal(channel)
	if err != nil {
		return nil, err
	}
	return channel.Consume(queue.Name, "", true, false, false, false, nil)
}
