package rabbitmq

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Publisher publishes events.
type Publisher struct{ link *link }

var (
	_ ports.EventPublisher = (*Publisher)(nil)
	_ ports.Pinger         = (*Publisher)(nil)
)

func newPublisher(b *Broker) *Publisher {
	return &Publisher{newLink(b.endpoint("orderflow publisher", b.options.Topology.publishing()), startPipeline)}
}

// Publish sends all events before it waits for the broker's promises to keep
// them, and several calls don't wait for each other. While the broker is out of
// reach, or takes no messages because it is short of memory or disk, Publish
// fails at once.
//
// In addition to the contract: an event that no queue takes gets
// [ports.ErrUnavailable].
func (p *Publisher) Publish(ctx context.Context, events ...domain.Event) []error {
	messages := make([]message, len(events))
	for i, event := range events {
		messages[i] = eventMessage(p.link.topology.Exchange, event)
	}
	errs := p.link.publish(ctx, messages...)
	for i, err := range errs {
		if err != nil {
			errs[i] = fmt.Errorf("publish event %s: %w", events[i].ID, err)
		}
	}
	return errs
}

// Ping returns nil if the broker answers and takes messages.
func (p *Publisher) Ping(ctx context.Context) error {
	if err := p.link.ping(ctx); err != nil {
		return fmt.Errorf("ping broker: %w", err)
	}
	return nil
}

func eventMessage(exchange string, event domain.Event) message {
	m, err := wire.Encode(event)
	return message{exchange, string(event.Type), publishing(m), err}
}

// publishing returns the message as RabbitMQ carries it.
func publishing(m ports.Message) amqp.Publishing {
	headers := make(amqp.Table, len(m.Headers))
	for name, value := range m.Headers {
		headers[name] = value
	}
	return amqp.Publishing{
		Headers:         headers,
		ContentType:     m.ContentType,
		ContentEncoding: m.ContentEncoding,
		DeliveryMode:    amqp.Persistent,
		CorrelationId:   m.CorrelationID,
		ReplyTo:         m.ReplyTo,
		MessageId:       m.ID,
		Timestamp:       m.Timestamp,
		Type:            m.Type,
		AppId:           m.AppID,
		Body:            m.Body,
	}
}
