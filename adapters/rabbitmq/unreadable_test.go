package rabbitmq_test

import (
	"context"
	"fmt"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// A message that breaks the connection of whoever takes it, for the library
// refuses to read what it and the broker let pass, takes no other with it: not
// out of the queue, and not out of the dead letters.
func TestUnreadableMessages(t *testing.T) {
	topology := newTopology(t)
	publisher := newPublisher(t, brokerURL(t), topology)
	before, after := newEvents(t, 5), newEvents(t, 5)
	publish(t, publisher, before[:2]...)

	nested := amqp.Table{}
	for range 40 {
		nested = amqp.Table{"in": nested}
	}
	many := amqp.Table{}
	for i := range 8193 {
		many[fmt.Sprint(i)] = true
	}
	ch := openChannel(t)
	for _, headers := range []amqp.Table{nested, many} {
		err := ch.PublishWithContext(t.Context(), amqp.DefaultExchange, topology.Queue, true, false, amqp.Publishing{Headers: headers, Body: []byte("poison")})
		if err != nil {
			t.Fatal(err)
		}
	}
	publish(t, publisher, before[2:]...)

	handled := make(chan domain.EventID, 100)
	consumer := newConsumer(t, brokerURL(t), topology)
	consumer.Prefetch = 8
	consume(t, consumer, func(_ context.Context, d ports.Delivery) error {
		handled <- d.Event.ID
		return nil
	})
	var box letterbox
	drain(t, newDeadLetterQueue(t, brokerURL(t), topology), box.keep)

	eventually(t, "what can't be read is put aside", func() bool { return messages(t, unreadable(topology)) == 2 })
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
}
