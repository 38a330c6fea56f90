package rabbitmq_test

import (
	"context"
	"sync"
	"testing"
	"time"

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
	handled := make(chan domain.EventID, 1000)
	var mu sync.Mutex
	inHand, most := 0, 0
	consumer := newConsumer(t, brokerURL(t), topology, prefetching(prefetch))
	consume(t, consumer, func(_ context.Context, d ports.Delivery) error {
		mu.Lock()
		inHand++
		most = max(most, inHand)
		mu.Unlock()
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		inHand--
		mu.Unlock()
		handled <- d.Event.ID
		return nil
	})
	var box letterbox
	drain(t, newDeadLetterQueue(t, brokerURL(t), topology), box.keep)

	// It takes some seventy connections, one after the other.
	for end := time.Now().Add(3 * patience); messages(t, unreadable(topology)) == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("what can't be read is not put aside after %v", 3*patience)
		}
	}
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

	// In the end as many are in hand as before.
	mu.Lock()
	most = 0
	mu.Unlock()
	eventually(t, "deliveries come at full speed again", func() bool {
		publish(t, publisher, newEvents(t, prefetch)...)
		for range prefetch {
			receive(t, handled)
		}
		mu.Lock()
		defer mu.Unlock()
		return most == prefetch
	})
}
