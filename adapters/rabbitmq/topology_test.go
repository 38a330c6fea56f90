package rabbitmq_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// The system that orderflow replaces had a queue of the same name that was
// neither durable nor replicated.
func TestQueueOfAnotherKind(t *testing.T) {
	topology := newTopology(t)
	ch := openChannel(t)
	if _, err := ch.QueueDeclare(topology.Queue, false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	want := `queue "QUEUE" is there with other properties, and RabbitMQ can't change them ` +
		`(PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'QUEUE' in vhost 'VHOST': received 'true' but current is 'false'): ` +
		`either have the consumers it was made for empty it, delete it by "rabbitmqctl delete_queue --vhost 'VHOST' 'QUEUE'" and start again; ` +
		`or leave it and use another vhost, the path of the broker's URL ("rabbitmqctl add_vhost NAME" makes one), or in code another Topology`
	check := func(t *testing.T, attempt string, err error) {
		t.Helper()
		var mismatch *rabbitmq.TopologyError
		if !errors.As(err, &mismatch) {
			t.Fatalf("error %v, want a TopologyError", err)
		}
		if errors.Is(err, ports.ErrUnavailable) {
			t.Error("the error says that the broker is unavailable")
		}
		got := strings.NewReplacer(topology.Queue, "QUEUE", "'"+mismatch.Vhost+"'", "'VHOST'").Replace(err.Error())
		if diff := cmp.Diff(attempt+want, got); diff != "" {
			t.Errorf("error (-want +got):\n%s", diff)
		}
	}
	t.Run("Publish", func(t *testing.T) {
		check(t, "publish 1 events: ", newPublisher(t, brokerURL(t), topology).Publish(bounded(t, patience), newEvent(t)))
	})
	t.Run("Ping", func(t *testing.T) {
		check(t, "ping broker: ", newPublisher(t, brokerURL(t), topology).Ping(bounded(t, patience)))
	})
	t.Run("Consume", func(t *testing.T) {
		ctx := bounded(t, patience)
		check(t, `consume from queue "QUEUE": `, newConsumer(t, brokerURL(t), topology).Consume(ctx, handleNothing))
	})
	t.Run("Drain", func(t *testing.T) {
		ctx := bounded(t, patience)
		check(t, `drain queue "QUEUE.dead-letter": `, newDeadLetterQueue(t, brokerURL(t), topology).Drain(ctx, keepNothing))
	})
	t.Run("Replay", func(t *testing.T) {
		err := newDeadLetterQueue(t, brokerURL(t), topology).Replay(bounded(t, patience), ports.DeadLetter{ID: "l"})
		check(t, "replay dead letter l: ", err)
	})
	t.Run("after the queue was deleted", func(t *testing.T) {
		publisher := newPublisher(t, brokerURL(t), topology)
		if err := publisher.Publish(bounded(t, patience), newEvent(t)); err == nil {
			t.Fatal("published to a queue of another kind")
		}
		if _, err := ch.QueueDelete(topology.Queue, false, false, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the same publisher publishes", func() bool {
			return publisher.Publish(bounded(t, patience), newEvent(t)) == nil
		})
	})
}

func TestExchangeOfAnotherKind(t *testing.T) {
	topology := newTopology(t)
	if err := openChannel(t).ExchangeDeclare(topology.Exchange, amqp.ExchangeDirect, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	err := newPublisher(t, brokerURL(t), topology).Publish(bounded(t, patience), newEvent(t))
	var mismatch *rabbitmq.TopologyError
	if !errors.As(err, &mismatch) || mismatch.Kind != "exchange" || mismatch.Name != topology.Exchange {
		t.Fatalf("error %v, want a TopologyError of the exchange", err)
	}
	if want := "delete it on the broker's management page and start again"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
}

// Whoever comes first, what is published then is consumed.
func TestNeitherSideHasToBeFirst(t *testing.T) {
	t.Run("publisher", func(t *testing.T) {
		topology := newTopology(t)
		event := newEvent(t)
		if err := newPublisher(t, brokerURL(t), topology).Publish(bounded(t, patience), event); err != nil {
			t.Fatal(err)
		}
		got := make(chan domain.Event, 1)
		consume(t, newConsumer(t, brokerURL(t), topology), handInto(got))
		await(t, got, event)
	})
	t.Run("consumer", func(t *testing.T) {
		topology := newTopology(t)
		event := newEvent(t)
		got := make(chan domain.Event, 1)
		consumer := newConsumer(t, brokerURL(t), topology)
		consume(t, consumer, handInto(got))
		eventually(t, "the consumer consumes", func() bool { return consumer.Ping(bounded(t, patience)) == nil })
		if err := newPublisher(t, brokerURL(t), topology).Publish(bounded(t, patience), event); err != nil {
			t.Fatal(err)
		}
		await(t, got, event)
	})
}

func handleNothing(context.Context, ports.Delivery) error { return nil }

func keepNothing(context.Context, ports.DeadLetter) error { return nil }

func handInto(events chan<- domain.Event) ports.Handler {
	return func(ctx context.Context, d ports.Delivery) error {
		select {
		case events <- d.Event:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// await waits until the event has been handed over; others may come before.
func await(t testing.TB, got <-chan domain.Event, want domain.Event) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case event := <-got:
			if event.ID == want.ID {
				if diff := cmp.Diff(want, event); diff != "" {
					t.Errorf("event (-want +got):\n%s", diff)
				}
				return
			}
		case <-timeout:
			t.Fatalf("event %s was not handed over within %v", want.ID, patience)
		}
	}
}
