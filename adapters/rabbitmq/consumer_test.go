package rabbitmq_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestConsumerConnectsAgain(t *testing.T) {
	tests := maps.Clone(troubles)
	tests["when the queue is deleted"] = nil
	for name, trouble := range tests {
		t.Run(name, func(t *testing.T) {
			topology := newTopology(t)
			proxy := newProxy(t, nil)
			publisher := newPublisher(t, brokerURL(t), topology)
			var log logBuffer
			consumer := newConsumer(t, through(t, proxy.address), topology, logInto(&log))
			got := make(chan domain.Event, 100)
			consume(t, consumer, handInto(got))
			first, second := newEvent(t), newEvent(t)
			publish(t, publisher, first)
			await(t, got, first)

			if trouble != nil {
				trouble(t, proxy)
			} else if _, err := openChannel(t).QueueDelete(topology.Queue, false, false, false); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the loss is noticed", func() bool { return log.count("disconnected from the broker") == 1 })
			awaitConsuming(t, consumer)
			eventually(t, "an event is published", func() bool {
				return tryPublish(t, publisher, second) == nil
			})
			await(t, got, second)
			if n := log.count("\n"); n > 4 {
				t.Errorf("%d lines were logged, want one for each change:\n%s", n, &log)
			}
		})
	}
}

func TestConsumerWaitsForTheBroker(t *testing.T) {
	topology := newTopology(t)
	event := newEvent(t)
	publish(t, newPublisher(t, brokerURL(t), topology), event)
	proxy := newProxy(t, nil)
	proxy.refuse(true)
	var log logBuffer
	consumer := newConsumer(t, through(t, proxy.address), topology, logInto(&log))
	got := make(chan domain.Event, 1)
	consume(t, consumer, handInto(got))
	eventually(t, "the consumer fails to connect", func() bool { return log.count("no connection to the broker") == 1 })
	if err := consumer.Ping(bounded(t, patience)); !errors.Is(err, ports.ErrUnavailable) {
		t.Errorf("ping: error %v, want ErrUnavailable", err)
	}
	proxy.refuse(false)
	await(t, got, event)
}

// A handler whose connection was lost must not settle a delivery of the next
// connection, which uses the same delivery tags.
func TestStaleAcknowledgement(t *testing.T) {
	topology := newTopology(t)
	proxy := newProxy(t, nil)
	publish(t, newPublisher(t, brokerURL(t), topology), newEvent(t))
	consumer := newConsumer(t, through(t, proxy.address), topology)
	began, end := make(chan ports.Delivery), make(chan struct{})
	consume(t, consumer, func(ctx context.Context, d ports.Delivery) error {
		select {
		case began <- d:
		case <-ctx.Done():
		}
		<-end
		return nil
	})
	receive(t, began) // tag 1 of the first session
	for range 2 {
		proxy.cut()
		awaitConsuming(t, consumer)
		eventually(t, "the consumer has the event", func() bool { return messages(t, topology.Queue) == 0 })
	}
	end <- struct{}{}
	// Tag 1 of the third session, which waited for the first handler. The delivery of
	// the second session ended with it.
	if d := receive(t, began); d.Attempt != 1 {
		t.Errorf("the event came again as attempt %d, want 1, because no handler failed", d.Attempt)
	}
	proxy.refuse(true)
	proxy.cut()
	eventually(t, "the event is in the queue, unsettled", func() bool { return messages(t, topology.Queue) == 1 })

	proxy.refuse(false)
	close(end)
	receive(t, began)
	eventually(t, "the event is settled", func() bool { return messages(t, topology.Queue) == 0 })
}

func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing came within %v", patience)
		panic("not reached")
	}
}

// A delivery counts until its handler ends, even if its connection is lost before.
func TestPrefetchBoundsRunningHandlers(t *testing.T) {
	topology := newTopology(t)
	publish(t, newPublisher(t, brokerURL(t), topology), newEvents(t, 10)...)
	proxy := newProxy(t, nil)
	consumer := newConsumer(t, through(t, proxy.address), topology, prefetching(3))
	var handling, most, begun atomic.Int64
	end := make(chan struct{})
	consume(t, consumer, func(context.Context, ports.Delivery) error {
		begun.Add(1)
		if n := handling.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-end
		handling.Add(-1)
		return nil
	})
	eventually(t, "3 events are being handled", func() bool { return begun.Load() == 3 })
	proxy.refuse(true)
	proxy.cut()
	other := openChannel(t) // gets the three events that come back, so that the consumer gets others
	var taken []amqp.Delivery
	eventually(t, "the other channel gets 3 events", func() bool {
		d, ok, err := other.Get(topology.Queue, false)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			taken = append(taken, d)
		}
		return len(taken) == 3
	})
	proxy.refuse(false)
	eventually(t, "the consumer has fetched 3 more events", func() bool { return messages(t, topology.Queue) == 4 })
	close(end)
	for _, d := range taken {
		if err := d.Ack(false); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all events are handled", func() bool { return begun.Load() == 10 && handling.Load() == 0 })
	if n := most.Load(); n != 3 {
		t.Errorf("%d events were handled at once, want 3", n)
	}
}

// A consumer leaves events beyond its prefetch to other consumers.
func TestPrefetchLeavesTheRest(t *testing.T) {
	topology := newTopology(t)
	publish(t, newPublisher(t, brokerURL(t), topology), newEvents(t, 10)...)
	consumer := newConsumer(t, brokerURL(t), topology, prefetching(3))
	end := make(chan struct{})
	stop := consume(t, consumer, func(context.Context, ports.Delivery) error {
		<-end
		return nil
	})
	eventually(t, "the consumer has 3 of 10 events", func() bool { return messages(t, topology.Queue) == 7 })
	close(end)
	eventually(t, "all events are acknowledged", func() bool { return messages(t, topology.Queue) == 0 })
	stop()
}

// The consumer sends more acknowledgements than a quorum queue takes from a channel
// at once.
func TestStoppedConsumerAcknowledgesAll(t *testing.T) {
	const count = 200
	topology := newTopology(t)
	publish(t, newPublisher(t, brokerURL(t), topology), newEvents(t, count)...)
	var begun atomic.Int64
	end := make(chan struct{})
	stop := consume(t, newConsumer(t, brokerURL(t), topology), func(context.Context, ports.Delivery) error {
		begun.Add(1)
		<-end
		return nil
	})
	eventually(t, "all handlers run", func() bool { return begun.Load() == count })
	time.AfterFunc(50*time.Millisecond, func() { close(end) })
	stop()
	again := make(chan domain.Event, count)
	fresh := newEvent(t)
	publish(t, newPublisher(t, brokerURL(t), topology), fresh)
	consume(t, newConsumer(t, brokerURL(t), topology), handInto(again))
	if event := receive(t, again); event.ID != fresh.ID {
		t.Errorf("event %s came again after its handler had returned nil", event.ID)
	}
}

func TestConsumerPing(t *testing.T) {
	topology := newTopology(t)
	consumer := newConsumer(t, brokerURL(t), topology)
	if err := consumer.Ping(bounded(t, patience)); err == nil {
		t.Error("Ping returns nil before Consume")
	}
	stop := consume(t, consumer, handleNothing)
	awaitConsuming(t, consumer)
	stop()
	if err := consumer.Ping(bounded(t, patience)); err == nil {
		t.Error("Ping returns nil after Consume has returned")
	}
}

func TestConsumeEndsOnADeadLink(t *testing.T) {
	t.Parallel()
	topology := newTopology(t)
	proxy := newProxy(t, nil)
	for name, connected := range map[string]bool{"while connected": true, "while connecting": false} {
		t.Run(name, func(t *testing.T) {
			consumer := newConsumer(t, through(t, proxy.address), topology)
			if !connected {
				proxy.swallow()
			}
			stop := consume(t, consumer, handleNothing)
			if connected {
				awaitConsuming(t, consumer)
				proxy.swallow()
			} else {
				eventually(t, "the consumer connects", proxy.held)
			}
			start := time.Now()
			stop()
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("Consume ended %v after its context", d)
			}
			proxy.flow()
			proxy.cut()
		})
	}
}

// Before RabbitMQ 4.3, a delivery that a stopping consumer gives back counts towards
// the delivery limit. It must count once, although settle gets a message, too.
func TestStopCountsOnce(t *testing.T) {
	topology := newTopology(t)
	publish(t, newPublisher(t, brokerURL(t), topology), newEvents(t, 2)...)
	for n := range 15 {
		proxy := newProxy(t, nil)
		consumer := newConsumer(t, through(t, proxy.address), topology)
		handling := make(chan struct{}, 2)
		stop := consume(t, consumer, func(context.Context, ports.Delivery) error {
			proxy.refuse(true) // so that the consumer can't hand it over, and gives it back
			handling <- struct{}{}
			return errors.New("not yet")
		})
		receive(t, handling)
		receive(t, handling)
		stop()
		if count := messages(t, deadLetters(topology)); count > 0 {
			t.Fatalf("%d dead letters after %d stops", count, n+1)
		}
	}
}

// The library can write some messages that it can't read. It then drops the
// connection. Such a message must not cause the loss of another, neither in the main
// queue nor among the dead letters.
func TestUnreadableMessages(t *testing.T) {
	topology := newTopology(t)
	publisher := newPublisher(t, brokerURL(t), topology)
	before, after := newEvents(t, 5), newEvents(t, 5)
	publish(t, publisher, before[:2]...)

	headers := amqp.Table{}
	for range 40 {
		headers = amqp.Table{"in": headers}
	}
	send(t, amqp.DefaultExchange, topology.Queue, amqp.Publishing{Headers: headers})
	publish(t, publisher, before[2:]...)

	const prefetch = 8
	handled := make(chan domain.EventID, 1000)
	var mu sync.Mutex
	handling, most := 0, 0
	consumer := newConsumer(t, brokerURL(t), topology, prefetching(prefetch))
	consume(t, consumer, func(_ context.Context, d ports.Delivery) error {
		mu.Lock()
		handling++
		most = max(most, handling)
		mu.Unlock()
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		handling--
		mu.Unlock()
		handled <- d.Event.ID
		return nil
	})
	var box letterbox
	drain(t, newDeadLetterQueue(t, brokerURL(t), topology), box.keep)

	// The consumer and the drain need about 70 connections, one after the other.
	for end := time.Now().Add(3 * patience); messages(t, unreadable(topology)) == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the unreadable message was not set aside within %v", 3*patience)
		}
	}
	publish(t, publisher, after...)
	missing := map[domain.EventID]bool{}
	for _, event := range append(before, after...) {
		missing[event.ID] = true
	}
	for len(missing) > 0 {
		delete(missing, receive(t, handled)) // some come again, because they were pending when the connection broke
	}
	if letters := box.await(t, 0); len(letters) > 0 {
		t.Errorf("%d dead letters, want none: %+v", len(letters), letters)
	}
	if n := messages(t, deadLetters(topology)); n > 0 {
		t.Errorf("%d messages are left among the dead letters", n)
	}

	// Afterwards several events are handled at once again.
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
