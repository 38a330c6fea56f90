package rabbitmq_test

import (
	"context"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const slow = 77 // the quantity of orders whose handlers take their time

// A message that breaks the connection of whoever takes it, for the library
// refuses to read what it and the broker let pass, takes no other with it: not
// out of the queue, and not out of the dead letters.
func TestUnreadableMessages(t *testing.T) {
	topology := newTopology(t)
	publisher := newPublisher(t, brokerURL(t), topology)
	before, after := newEvents(t, 5), newEvents(t, 5)
	publish(t, publisher, before[:2]...)

	headers := amqp.Table{}
	for range 40 {
		headers = amqp.Table{"in": headers}
	}
	err := openChannel(t).PublishWithContext(t.Context(), amqp.DefaultExchange, topology.Queue, true, false, amqp.Publishing{Headers: headers})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, publisher, before[2:]...)

	const prefetch = 8
	handled, together := make(chan domain.EventID, 100), make(chan struct{}, prefetch)
	consumer := newConsumer(t, brokerURL(t), topology)
	consumer.Prefetch = prefetch
	consume(t, consumer, func(ctx context.Context, d ports.Delivery) error {
		if d.Event.Order.Quantity == slow {
			together <- struct{}{}
			<-ctx.Done()
		}
		handled <- d.Event.ID
		return nil
	})
	var box letterbox
	drain(t, newDeadLetterQueue(t, brokerURL(t), topology), box.keep)

	eventually(t, "what can't be read is put aside", func() bool { return messages(t, unreadable(topology)) == 1 })
	publish(t, publisher, after...)
	missing := map[domain.EventID]bool{}
	for _, event := range append(before, after...) {
		missing[event.ID] = true
	}
	for len(missing) > 0 {
		delete(missing, receive(t, handled)) // some more than once: they were in hand when the connection broke
	}
	if letters := box.await(t, 0); len(letters) > 0 {
		t.Errorf("%d dead letters, want none: %+v", len(letters), letters)
	}
	if n := messages(t, deadLetters(topology)); n > 0 {
		t.Errorf("%d messages are left among the dead letters", n)
	}

	// In the end deliveries come at full speed again.
	for range prefetch {
		event := newEvent(t)
		event.Order.Quantity = slow
		publish(t, publisher, event)
	}
	eventually(t, "as many are in hand as before", func() bool { return len(together) == prefetch })
}
