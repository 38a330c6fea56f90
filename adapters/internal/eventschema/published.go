package eventschema

import (
	"context"
	"errors"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Broker are the parts of a broker whose messages are looked at.
type Broker struct {
	Publisher   ports.EventPublisher
	Consumer    ports.EventConsumer
	DeadLetters ports.DeadLetterQueue
}

// CheckPublished publishes the event, and checks its message as the dead letter of a
// consumer that fails has it.
func CheckPublished(t *testing.T, asyncAPI []byte, b Broker, event domain.Event) {
	t.Helper()
	schema, err := Load(asyncAPI, "OrderCreated")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Publisher.Publish(t.Context(), event)...); err != nil {
		t.Fatal(err)
	}
	consuming, consumed := context.WithTimeout(t.Context(), 10*time.Second)
	defer consumed()
	err = b.Consumer.Consume(consuming, func(context.Context, ports.Delivery) error {
		consumed()
		return ports.Permanent(errors.New("refused"))
	})
	if err != nil {
		t.Fatal(err)
	}
	draining, drained := context.WithTimeout(t.Context(), 10*time.Second)
	defer drained()
	var message ports.Message
	err = b.DeadLetters.Drain(draining, func(_ context.Context, letter ports.DeadLetter) error {
		message = letter.Message
		drained()
		return nil
	})
	if err := errors.Join(err, schema.Check(message)); err != nil {
		t.Errorf("the published message differs from its description: %v\n%+v %s", err, message.Headers, message.Body)
	}
}
