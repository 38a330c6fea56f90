package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestEventsContract(t *testing.T) {
	brokerURL(t)
	porttest.Run(t, porttest.EventClauses(), newEventsContract)
}

func TestDeadLetterQueueContract(t *testing.T) {
	brokerURL(t)
	porttest.Run(t, porttest.DeadLetterQueueClauses(), newDeadLetterQueueContract)
}

func BenchmarkEvents(b *testing.B) {
	brokerURL(b)
	porttest.BenchmarkEvents(b, newEventsContract)
}

func newEventsContract(t testing.TB) porttest.Events { return newDeadLetterQueueContract(t).Events }

func newDeadLetterQueueContract(t testing.TB) porttest.DeadLetterQueue {
	topology := newTopology(t, 60*time.Millisecond, 120*time.Millisecond, 180*time.Millisecond)
	publisher := newPublisher(t, brokerURL(t), topology)
	if err := publisher.Ping(bounded(t, patience)); err != nil { // so that the queues are there
		t.Fatal(err)
	}
	ch := openChannel(t)
	return porttest.DeadLetterQueue{
		Events: porttest.Events{
			Publisher: publisher,
			Consumer:  func() ports.EventConsumer { return newConsumer(t, brokerURL(t), topology) },
			Inject: func(ctx context.Context, body []byte) error {
				return ch.PublishWithContext(ctx, amqp.DefaultExchange, topology.Queue, true, false, amqp.Publishing{Body: body})
			},
			Attempts: len(topology.Delays) + 1,
		},
		Queue: func() ports.DeadLetterQueue { return newDeadLetterQueue(t, brokerURL(t), topology) },
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
