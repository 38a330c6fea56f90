package harness

import (
	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
)

// EventMessage returns the event's message as the order service publishes it.
func EventMessage(event domain.Event) (amqp.Publishing, error) {
	m, err := wire.Encode(event)
	headers := make(amqp.Table, len(m.Headers))
	for name, value := range m.Headers {
		headers[name] = value
	}
	return amqp.Publishing{
		Headers: headers, ContentType: m.ContentType, DeliveryMode: amqp.Persistent,
		MessageId: m.ID, Timestamp: event.Time, Body: m.Body,
	}, err
}
