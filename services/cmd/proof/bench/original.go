package main

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

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
