package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestContract(t *testing.T) {
	brokerURL(t)
	porttest.Run(t, porttest.BrokerClauses(), newContract)
}

func BenchmarkBroker(b *testing.B) {
	brokerURL(b)
	porttest.BenchmarkBroker(b, newContract)
}

func newContract(t testing.TB) porttest.Broker {
	topology := newTopology(t, 60*time.Millisecond, 120*time.Millisecond, 180*time.Millisecond)
	publisher := newPublisher(t, brokerURL(t), topology)
	if err := publisher.Ping(bounded(t, patience)); err != nil { // so that the queues are there
		t.Fatal(err)
	}
	ch := openChannel(t)
	return porttest.Broker{
		Publisher: publisher,
		Consumer:  func() ports.EventConsumer { return newConsumer(t, brokerURL(t), topology) },
		Inject: func(ctx context.Context, body []byte) error {
			return ch.PublishWithContext(ctx, amqp.DefaultExchange, topology.Queue, true, false, amqp.Publishing{Body: body})
		},
		DeadLetters: func() ports.DeadLetterQueue { return newDeadLetterQueue(t, brokerURL(t), topology) },
		Attempts:    len(topology.Delays) + 1,
	}
}

// peek returns the messages in the queue, which it leaves there.
func peek(t testing.TB, queue string) []amqp.Delivery {
	t.Helper()
	ch := openChannel(t)
	var all []amqp.Delivery
	for {
		d, ok, err := ch.Get(queue, false)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		all = append(all, d)
	}
	if len(all) > 0 {
		if err := all[len(all)-1].Nack(true, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}
