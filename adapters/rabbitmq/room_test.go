package rabbitmq_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const mib = 1 << 20

// publishLarge publishes events with a field that nobody knows, of that size.
func publishLarge(t testing.TB, queue string, bytesEach int, events ...domain.Event) {
	t.Helper()
	ch := openChannel(t)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	filler := bytes.Repeat([]byte("x"), bytesEach)
	for _, event := range events {
		m, err := wire.Encode(event)
		if err != nil {
			t.Fatal(err)
		}
		headers := amqp.Table{}
		for name, value := range m.Headers {
			headers[name] = value
		}
		body := append([]byte(`{"filler":"`), filler...)
		body = append(append(body, `",`...), m.Body[1:]...)
		promise, err := ch.PublishWithDeferredConfirm(amqp.DefaultExchange, queue, true, false,
			amqp.Publishing{MessageId: m.ID, Headers: headers, Body: body, DeliveryMode: amqp.Persistent})
		if err != nil {
			t.Fatal(err)
		}
		if acked, err := promise.WaitContext(bounded(t, patience)); err != nil || !acked {
			t.Fatalf("a message of %d bytes: acked %v, error %v", len(body), acked, err)
		}
	}
}

// What is in hand has a bound in bytes, and what waits for room is not lost.
func TestLargeDeliveries(t *testing.T) {
	t.Parallel()
	const count, size, most = 12, 8 * mib, 5 // 16 MiB, the one that goes beyond, and two that were on their way
	topology := newTopology(t)
	declareTopology(t, brokerURL(t), topology)
	events := newEvents(t, count)
	publishLarge(t, topology.Queue, size, events...)

	check := func(t *testing.T, inHand *atomic.Int32, ping func() error, release func()) {
		t.Helper()
		eventually(t, "there is no room for more", func() bool { return inHand.Load() >= 2 })
		// Longer than the library waits for the next bytes at this heartbeat.
		for range 4 {
			time.Sleep(time.Second)
			if err := ping(); err != nil {
				t.Errorf("ping while there is no room: %v", err)
			}
		}
		if n := inHand.Load(); n > most {
			t.Errorf("%d of %d MiB each are in hand at once, want %d at most", n, size/mib, most)
		}
		release()
	}

	t.Run("events", func(t *testing.T) {
		var inHand atomic.Int32
		released := make(chan struct{})
		var mu sync.Mutex
		handled := map[domain.EventID]int{}
		consumer := newConsumer(t, brokerURL(t)+"?heartbeat=1", topology)
		stop := consume(t, consumer, func(_ context.Context, d ports.Delivery) error {
			inHand.Add(1)
			<-released
			inHand.Add(-1)
			mu.Lock()
			defer mu.Unlock()
			handled[d.Event.ID]++
			return ports.Permanent(errors.New("no such address"))
		})
		check(t, &inHand, func() error { return consumer.Ping(bounded(t, patience)) }, func() { close(released) })
		eventually(t, "all are set aside", func() bool { return messages(t, deadLetters(topology)) == count })
		stop()
		for _, event := range events {
			if handled[event.ID] != 1 {
				t.Errorf("event %s was handed over %d times", event.ID, handled[event.ID])
			}
		}
	})
	t.Run("dead letters", func(t *testing.T) {
		var inHand atomic.Int32
		released := make(chan struct{})
		var mu sync.Mutex
		kept := map[string]int{}
		queue := newDeadLetterQueue(t, brokerURL(t)+"?heartbeat=1", topology)
		stop := drain(t, queue, func(_ context.Context, letter ports.DeadLetter) error {
			inHand.Add(1)
			<-released
			inHand.Add(-1)
			mu.Lock()
			defer mu.Unlock()
			kept[letter.ID]++
			return nil
		})
		check(t, &inHand, func() error { return nil }, func() { close(released) })
		eventually(t, "all are kept", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(kept) == count
		})
		stop()
		for _, event := range events {
			if kept[string(event.ID)] != 1 {
				t.Errorf("dead letter %s was kept %d times", event.ID, kept[string(event.ID)])
			}
		}
		if n := messages(t, deadLetters(topology)) + messages(t, unreadable(topology)); n > 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}

// Where there is no room for long, the broker gets back what it has sent, and
// sends one by one: so often only that it takes nothing for the fault of that.
func TestLargeDeliveriesInHandForLong(t *testing.T) {
	t.Parallel()
	const count, size = 8, 10 * mib
	topology := newTopology(t)
	declareTopology(t, brokerURL(t), topology)
	events := newEvents(t, count)
	publishLarge(t, topology.Queue, size, events...)
	var log logBuffer
	var inHand, most atomic.Int32
	released := make(chan struct{})
	got := make(chan domain.Event, 1000)
	consumer := newConsumer(t, brokerURL(t), topology, logInto(&log))
	consumer.SetMaxPause(100 * time.Millisecond)
	consume(t, consumer, func(ctx context.Context, d ports.Delivery) error {
		most.Store(max(most.Load(), inHand.Add(1)))
		defer inHand.Add(-1)
		select {
		case <-released:
		case <-ctx.Done():
		}
		got <- d.Event
		return nil
	})
	eventually(t, "there is no room for long", func() bool { return log.count("bytes for too long") == 1 })
	time.Sleep(7 * time.Second) // one of them is in hand, so deliveries go on to come one by one
	if n := log.count("bytes for too long") + log.count("at full speed again"); n != 1 {
		t.Errorf("the connection was given up %d times, want once:\n%s", n, log.String())
	}
	close(released)
	missing := map[domain.EventID]bool{}
	for _, event := range events {
		missing[event.ID] = true
	}
	for len(missing) > 0 {
		delete(missing, receive(t, got).ID)
	}
	eventually(t, "deliveries come at full speed again", func() bool { return log.count("at full speed again") == 1 })
	if n := most.Load(); n > 6 {
		t.Errorf("%d were in hand at once", n)
	}
	if n := messages(t, deadLetters(topology)); n > 0 {
		t.Errorf("%d dead letters", n)
	}
}
