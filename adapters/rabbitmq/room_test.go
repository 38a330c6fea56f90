package rabbitmq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// publishLarge publishes events with an unknown field of bytesEach bytes.
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

// The bytes of the pending deliveries are bounded, and no delivery that waits for room
// is lost.
func TestLargeDeliveries(t *testing.T) {
	t.Parallel()
	const count, size, most = 8, 8 * mib, 5 // 16 MiB, the one that exceeds them, and two that were sent already
	topology := newTopology(t)
	declareTopology(t, brokerURL(t), topology)
	events := newEvents(t, count)
	publishLarge(t, topology.Queue, size, events...)

	// check lets the deliveries wait in handle, for longer than the library waits for
	// the next bytes at this heartbeat. Then all must be handled once.
	check := func(t *testing.T, ping func() error, run func(handle func(id string)) (stop func()), settled func() bool) {
		t.Helper()
		var handling atomic.Int32
		released := make(chan struct{})
		var mu sync.Mutex
		handled := map[string]int{}
		stop := run(func(id string) {
			handling.Add(1)
			<-released
			handling.Add(-1)
			mu.Lock()
			defer mu.Unlock()
			handled[id]++
		})
		eventually(t, "there is no room for more", func() bool { return handling.Load() >= 2 })
		for range 4 {
			time.Sleep(time.Second)
			if err := ping(); err != nil {
				t.Errorf("ping while there is no room: %v", err)
			}
		}
		if n := handling.Load(); n > most {
			t.Errorf("%d deliveries of %d MiB are unacknowledged at once, want at most %d", n, size/mib, most)
		}
		close(released)
		for n := range count { // one by one, because a slow machine needs long for so many bytes
			eventually(t, fmt.Sprintf("%d deliveries are handled", n+1), func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(handled) > n
			})
		}
		eventually(t, "all deliveries are settled", settled)
		stop()
		for _, event := range events {
			if n := handled[string(event.ID)]; n != 1 {
				t.Errorf("event %s was handed over %d times, want once", event.ID, n)
			}
		}
	}

	t.Run("events", func(t *testing.T) {
		consumer := newConsumer(t, brokerURL(t)+"?heartbeat=1", topology)
		check(t, func() error { return consumer.Ping(bounded(t, patience)) }, func(handle func(id string)) func() {
			return consume(t, consumer, func(_ context.Context, d ports.Delivery) error {
				handle(string(d.Event.ID))
				return ports.Permanent(errors.New("no such address"))
			})
		}, func() bool { return messages(t, deadLetters(topology)) == count })
	})
	t.Run("dead letters", func(t *testing.T) {
		queue := newDeadLetterQueue(t, brokerURL(t)+"?heartbeat=1", topology)
		check(t, func() error { return nil }, func(handle func(id string)) func() {
			return drain(t, queue, func(_ context.Context, letter ports.DeadLetter) error {
				handle(letter.ID)
				return nil
			})
		}, func() bool { return true })
		if n := messages(t, deadLetters(topology)) + messages(t, unreadable(topology)); n > 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}

// If there is no room for too long, the consumer connects again and takes deliveries
// one by one. It does so rarely enough that no delivery reaches its delivery limit.
func TestLargeDeliveriesWithSlowHandler(t *testing.T) {
	t.Parallel()
	const count, size = 8, 10 * mib
	topology := newTopology(t)
	declareTopology(t, brokerURL(t), topology)
	events := newEvents(t, count)
	publishLarge(t, topology.Queue, size, events...)
	var log logBuffer
	var handling, most atomic.Int32
	released := make(chan struct{})
	got := make(chan domain.Event, 1000)
	consumer := newConsumer(t, brokerURL(t), topology, logInto(&log))
	consumer.SetMaxPause(100 * time.Millisecond)
	consume(t, consumer, func(ctx context.Context, d ports.Delivery) error {
		most.Store(max(most.Load(), handling.Add(1)))
		defer handling.Add(-1)
		select {
		case <-released:
		case <-ctx.Done():
		}
		got <- d.Event
		return nil
	})
	eventually(t, "the consumer gives up the connection", func() bool { return log.count("bytes for too long") == 1 })
	time.Sleep(7 * time.Second) // a large delivery is pending, so deliveries still come one by one
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
		t.Errorf("%d events were handled at once, want at most 6", n)
	}
	if n := messages(t, deadLetters(topology)); n > 0 {
		t.Errorf("%d dead letters, want none", n)
	}
}
