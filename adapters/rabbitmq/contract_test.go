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
	declareTopology(t, brokerURL(t), topology)
	ch := openChannel(t)
	return porttest.DeadLetterQueue{
		Events: porttest.Events{
			Publisher: newPublisher(t, brokerURL(t), topology),
			Consumer: func() ports.EventConsumer {
				consumer := newConsumer(t, brokerURL(t), topology)
				consumer.SetReplaceTimeout(patience) // a busy broker may need seconds for the first connection
				return consumer
			},
			Inject: func(ctx context.Context, body []byte) error {
				return ch.PublishWithContext(ctx, amqp.DefaultExchange, topology.Queue, true, false, amqp.Publishing{Body: body})
			},
			Subscription: func(name string) ports.EventQueue {
				deleteSubscription(t, topology, name)
				consumer := open(t, brokerURL(t), topology).Subscription(name)
				consumer.SetReplaceTimeout(patience)
				return consumer
			},
			Attempts: len(topology.Delays) + 1,
		},
		Queue: func() ports.DeadLetterQueue { return newDeadLetterQueue(t, brokerURL(t), topology) },
	}
}
