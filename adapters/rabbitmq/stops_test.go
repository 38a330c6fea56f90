package rabbitmq_test

import (
	"context"
	"errors"
	"testing"

	"example.com/orderflow/ports"
)

// To RabbitMQ before 4.3, what a stop gives back counts towards the queue's
// limit: once, not once more for making sure that all else is settled.
func TestStopCountsOnce(t *testing.T) {
	topology := newTopology(t)
	publish(t, newPublisher(t, brokerURL(t), topology), newEvents(t, 2)...)
	for n := range 15 {
		proxy := newProxy(t, nil)
		consumer := newConsumer(t, through(t, proxy.address), topology)
		inHand := make(chan struct{}, 2)
		stop := consume(t, consumer, func(context.Context, ports.Delivery) error {
			proxy.refuse(true) // so that it can't be handed over, and is given back
			inHand <- struct{}{}
			return errors.New("not yet")
		})
		receive(t, inHand)
		receive(t, inHand)
		stop()
		if count := messages(t, deadLetters(topology)); count > 0 {
			t.Fatalf("%d dead letters after %d stops", count, n+1)
		}
	}
}
