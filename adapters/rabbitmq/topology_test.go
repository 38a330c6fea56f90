package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
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
func TestQueueWithOtherProperties(t *testing.T) {
	topology := newTopology(t)
	ch := openChannel(t)
	if _, err := ch.QueueDeclare(topology.Queue, false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	want := `queue "QUEUE" exists with other properties, and RabbitMQ can't change them ` +
		`(PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'QUEUE' in vhost 'VHOST': received 'true' but current is 'false'): ` +
		`either let its own consumers empty it, delete it with "rabbitmqctl delete_queue --vhost 'VHOST' 'QUEUE'" and start again; ` +
		`or leave it and use another vhost, the path of the broker's URL ("rabbitmqctl add_vhost NAME" creates one), or in code another Topology`
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
		event := newEvent(t)
		check(t, fmt.Sprintf("publish event %s: ", event.ID), newPublisher(t, brokerURL(t), topology).Publish(bounded(t, patience), event)[0])
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
		if err := tryPublish(t, publisher, newEvent(t)); err == nil {
			t.Fatal("published to a queue with other properties")
		}
		if _, err := ch.QueueDelete(topology.Queue, false, false, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the same publisher publishes", func() bool {
			return tryPublish(t, publisher, newEvent(t)) == nil
		})
	})
}

func TestExchangeWithOtherProperties(t *testing.T) {
	topology := newTopology(t)
	if err := openChannel(t).ExchangeDeclare(topology.Exchange, amqp.ExchangeDirect, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	err := tryPublish(t, newPublisher(t, brokerURL(t), topology), newEvent(t))
	var mismatch *rabbitmq.TopologyError
	if !errors.As(err, &mismatch) || mismatch.Kind != "exchange" || mismatch.Name != topology.Exchange {
		t.Fatalf("error %v, want a TopologyError of the exchange", err)
	}
	if want := "delete it on the broker's management page and start again"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
}

// Open refuses a topology that RabbitMQ does not accept.
func TestInvalidTopology(t *testing.T) {
	t.Parallel()
	delays := func(ds ...time.Duration) rabbitmq.Topology { return rabbitmq.Topology{Delays: ds} }
	long := strings.Repeat("q", 256)
	for name, tt := range map[string]struct {
		topology rabbitmq.Topology
		part     string
		want     string
	}{
		"negative delay":     {delays(time.Second, -time.Second), "Delays[1]", "-1s is shorter than a millisecond"},
		"no delay":           {delays(0), "Delays[0]", "0s is shorter"},
		"short delay":        {delays(time.Microsecond), "Delays[0]", "1µs is shorter"},
		"long delay":         {delays(1 << 32 * time.Millisecond), "Delays[0]", "1193h2m47.296s is longer than 1193h2m47.295s"},
		"long queue":         {rabbitmq.Topology{Queue: long[:244]}, "Queue", "at most"},
		"long exchange":      {rabbitmq.Topology{Exchange: long}, "Exchange", "256 bytes"},
		"reserved queue":     {rabbitmq.Topology{Queue: "amq.orders"}, "Queue", "begins with"},
		"reserved exchange":  {rabbitmq.Topology{Exchange: "amq.orders"}, "Exchange", "begins with"},
		"queue of two lines": {rabbitmq.Topology{Queue: "a\nb"}, "Queue", "control characters"},
		"exchange not UTF-8": {rabbitmq.Topology{Exchange: "a\xff"}, "Exchange", "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rabbitmq.Open("amqp://nowhere.invalid/", rabbitmq.Options{Topology: tt.topology})
			var invalid *rabbitmq.InvalidTopologyError
			if !errors.As(err, &invalid) || errors.Is(err, ports.ErrUnavailable) {
				t.Errorf("error %v, want an InvalidTopologyError", err)
			} else if invalid.Part != tt.part || !strings.Contains(invalid.Reason, tt.want) {
				t.Errorf("error %v, want %s: %s", err, tt.part, tt.want)
			}
		})
	}
}

// Names and delays at the limits work, and so do two equal delays.
func TestTopologyAtItsLimits(t *testing.T) {
	t.Parallel()
	v := newVhost(t)
	topology := rabbitmq.Topology{
		Exchange: "amq.topic", Queue: strings.Repeat("q", 200),
		Delays: []time.Duration{time.Millisecond, time.Millisecond, (1<<32 - 1) * time.Millisecond},
	}
	got := make(chan domain.Event, 1)
	consume(t, newConsumer(t, v.url, topology), func(ctx context.Context, d ports.Delivery) error {
		if d.Attempt < 3 {
			return errors.New("not yet")
		}
		return handInto(got)(ctx, d)
	})
	event := newEvent(t)
	publish(t, newPublisher(t, v.url, topology), event)
	await(t, got, event)
}

// Events are consumed, whether the publisher or the consumer starts first.
func TestPublisherAndConsumerStartInAnyOrder(t *testing.T) {
	t.Run("publisher", func(t *testing.T) {
		topology := newTopology(t)
		event := newEvent(t)
		if err := tryPublish(t, newPublisher(t, brokerURL(t), topology), event); err != nil {
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
		awaitConsuming(t, consumer)
		if err := tryPublish(t, newPublisher(t, brokerURL(t), topology), event); err != nil {
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
