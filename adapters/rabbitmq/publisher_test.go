package rabbitmq_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/internal/eventschema"
	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/order"
)

func TestPublishedMessage(t *testing.T) {
	topology := newTopology(t)
	event := newEvent(t)
	publish(t, newPublisher(t, brokerURL(t), topology), event)

	got := peek(t, topology.Queue)
	if len(got) != 1 {
		t.Fatalf("%d messages in the queue, want 1", len(got))
	}
	at := func(d time.Time) string { return d.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
	want := amqp.Delivery{
		Exchange:     topology.Exchange,
		RoutingKey:   "order.created",
		DeliveryMode: amqp.Persistent,
		ContentType:  "application/json",
		MessageId:    string(event.ID),
		Timestamp:    event.Time.Truncate(time.Second),
		Headers: amqp.Table{
			"ce-id":          string(event.ID),
			"ce-source":      "/orderflow/orders",
			"ce-dataschema":  "urn:orderflow:order.created:1.0",
			"ce-specversion": "1.0",
			"ce-subject":     string(event.Order.ID),
			"ce-time":        at(event.Time),
			"ce-type":        "order.created",
		},
	}
	seen := got[0]
	checkDescribed(t, seen)
	var body map[string]any
	if err := json.Unmarshal(seen.Body, &body); err != nil {
		t.Fatal(err)
	}
	delete(seen.Headers, "x-delivery-count") // RabbitMQ 3 adds it to each delivery
	seen.Acknowledger, seen.DeliveryTag, seen.Body = nil, 0, nil
	seen.Timestamp = seen.Timestamp.UTC()
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	wantBody := map[string]any{
		"id": string(event.Order.ID), "user_id": "123", "product": "Laptop", "quantity": 1.0,
		"created_at": at(event.Order.CreatedAt),
	}
	if diff := cmp.Diff(wantBody, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// checkDescribed checks the message against the description of the events.
func checkDescribed(t *testing.T, d amqp.Delivery) {
	t.Helper()
	schema, err := eventschema.Load(order.AsyncAPI, "OrderCreated")
	if err != nil {
		t.Fatal(err)
	}
	m := ports.Message{ContentType: d.ContentType, Headers: map[string]string{}, Body: d.Body}
	for name, value := range d.Headers {
		if text, ok := value.(string); ok { // others are the broker's
			m.Headers[name] = text
		}
	}
	if err := schema.Check(m); err != nil {
		t.Errorf("the message differs from its description: %v", err)
	}
}

// Several callers publish more messages than may be unconfirmed at once.
func TestPublishMany(t *testing.T) {
	topology := newTopology(t)
	publisher := newPublisher(t, brokerURL(t), topology)
	const callers, each = 4, 1500
	events := newEvents(t, callers*each)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			if err := tryPublish(t, publisher, events[c*each:(c+1)*each]...); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := messages(t, topology.Queue); n != callers*each {
		t.Errorf("%d messages in the queue, want %d", n, callers*each)
	}
}

func TestPublishWithoutAQueue(t *testing.T) {
	topology := newTopology(t)
	publisher := newPublisher(t, brokerURL(t), topology)
	unbind := func() {
		t.Helper()
		publish(t, publisher, newEvent(t))
		if err := openChannel(t).QueueUnbind(topology.Queue, "order.created", topology.Exchange, nil); err != nil {
			t.Fatal(err)
		}
	}
	heals := func() {
		t.Helper()
		eventually(t, "the queue is bound again", func() bool {
			return tryPublish(t, publisher, newEvent(t)) == nil
		})
	}
	for _, count := range []int{1, 3000} {
		unbind()
		events := newEvents(t, count)
		for i, err := range publisher.Publish(bounded(t, patience), events...) {
			want := fmt.Sprintf("publish event %s: unavailable: no queue takes the message for exchange %q with key %q", events[i].ID, topology.Exchange, "order.created")
			if err == nil || err.Error() != want {
				t.Fatalf("event %d of %d: error %v, want %s", i+1, count, err, want)
			}
			if !errors.Is(err, ports.ErrUnavailable) {
				t.Fatalf("event %d of %d: error %v does not wrap ErrUnavailable", i+1, count, err)
			}
		}
		heals()
	}

	unbind()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := tryPublish(t, publisher, newEvents(t, 10)...); err == nil {
				t.Error("one of several calls returned nil for an event that no queue took")
			}
		})
	}
	wg.Wait()
	heals()
}

// connected returns a broker whose publisher has connected through the proxy.
func connected(t testing.TB, set ...func(*rabbitmq.Options)) (*proxy, *rabbitmq.Broker, rabbitmq.Topology) {
	t.Helper()
	topology, proxy := newTopology(t), newProxy(t, nil)
	broker := open(t, through(t, proxy.address), topology, set...)
	publish(t, broker.Publisher(), newEvent(t))
	return proxy, broker, topology
}

func TestBrokerRefusesMessages(t *testing.T) {
	proxy, broker, _ := connected(t)
	publisher := broker.Publisher()

	proxy.swallow()
	events := newEvents(t, 3)
	result := make(chan []error, 1)
	go func() { result <- publisher.Publish(bounded(t, patience), events...) }()
	eventually(t, "the messages are on their way", func() bool { return proxy.held() })
	proxy.refuseMessage(t, 2)
	proxy.confirmMessage(t, 3)
	proxy.refuseMessage(t, 4)
	errs := <-result
	for _, i := range []int{0, 2} {
		want := fmt.Sprintf("publish event %s: unavailable: the broker refused the message", events[i].ID)
		if err := errs[i]; err == nil || err.Error() != want || !errors.Is(err, ports.ErrUnavailable) {
			t.Errorf("refused event %d: error %v, want %s, an ErrUnavailable", i+1, err, want)
		}
	}
	if errs[1] != nil {
		t.Errorf("confirmed event: error %v, want none", errs[1])
	}
	proxy.cut()
}

func TestPublisherConnectsAgain(t *testing.T) {
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			topology := newTopology(t)
			proxy := newProxy(t, nil)
			var log logBuffer
			broker := open(t, through(t, proxy.address), topology, logInto(&log))
			publisher := broker.Publisher()
			publish(t, publisher, newEvent(t))

			trouble(t, proxy)
			eventually(t, "the loss is noticed", func() bool { return log.count("disconnected from the broker") == 1 })
			event := newEvent(t)
			eventually(t, "events are published again", func() bool {
				return tryPublish(t, publisher, event) == nil
			})
			if n := messages(t, topology.Queue); n < 2 {
				t.Errorf("%d messages in the queue, want both", n)
			}
			if n := log.count("connected to the broker"); n != 2 {
				t.Errorf("%d connections were logged, want 2:\n%s", n, &log)
			}
			if err := broker.Close(bounded(t, patience)); err != nil {
				t.Error(err)
			}
			if n := log.count("disconnected"); n != 1 {
				t.Errorf("%d losses were logged, want one:\n%s", n, &log)
			}
			if n := log.count("no connection to the broker"); n > 1 {
				t.Errorf("the missing connection was logged %d times, want at most once:\n%s", n, &log)
			}
		})
	}
}

// The broker answers by closing the channel, not the connection.
func TestPublishToADeletedExchange(t *testing.T) {
	topology := newTopology(t)
	publisher := newPublisher(t, brokerURL(t), topology)
	publish(t, publisher, newEvent(t))
	if err := openChannel(t).ExchangeDelete(topology.Exchange, false, false); err != nil {
		t.Fatal(err)
	}
	err := tryPublish(t, publisher, newEvent(t))
	if !errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), "no exchange") {
		t.Errorf("error %v, want ErrUnavailable with the reason", err)
	}
	eventually(t, "the exchange exists again", func() bool {
		return tryPublish(t, publisher, newEvent(t)) == nil
	})
	if n := messages(t, topology.Queue); n != 2 {
		t.Errorf("%d messages in the queue, want 2", n)
	}
}

// A call that is pending when the connection breaks returns an error.
func TestPublishDuringALoss(t *testing.T) {
	proxy, broker, _ := connected(t)
	publisher := broker.Publisher()

	proxy.swallow()
	results := make(chan error, 10)
	for range cap(results) {
		go func() { results <- tryPublish(t, publisher, newEvents(t, 10)...) }()
	}
	eventually(t, "the messages are on their way", func() bool { return proxy.held() })
	proxy.cut()
	for range cap(results) {
		if err := <-results; !errors.Is(err, ports.ErrUnavailable) {
			t.Errorf("error %v, want ErrUnavailable", err)
		}
	}
	proxy.flow()
}

func TestPublishWithoutABroker(t *testing.T) {
	brokerURL(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	var log logBuffer
	publisher := newPublisher(t, "amqp://u:secret@"+address+"/", rabbitmq.Topology{}, logInto(&log))
	for range 30 {
		start := time.Now()
		err := tryPublish(t, publisher, newEvent(t))
		if !errors.Is(err, ports.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
			t.Fatalf("error %v, want ErrUnavailable and no password", err)
		}
		if err := publisher.Ping(bounded(t, patience)); !errors.Is(err, ports.ErrUnavailable) {
			t.Fatalf("ping: error %v, want ErrUnavailable", err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Fatalf("a call took %v", d)
		}
	}
	if n := log.count("\n"); n != 1 || log.count("secret") > 0 {
		t.Errorf("logged, want one line without the password:\n%s", &log)
	}
}

// On a dead link, no call outlives its context.
func TestDeadLink(t *testing.T) {
	t.Parallel()
	ended := func(t *testing.T, what string, call func(ctx context.Context) error) {
		t.Helper()
		const limit = 300 * time.Millisecond
		start := time.Now()
		err := call(bounded(t, limit))
		if d := time.Since(start); d > limit+time.Second {
			t.Errorf("%s ended after %v, with a context of %v", what, d, limit)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error %v, want one that wraps the context's", what, err)
		}
	}
	publishing := func(publisher *rabbitmq.Publisher, events ...domain.Event) func(context.Context) error {
		return func(ctx context.Context) error { return errors.Join(publisher.Publish(ctx, events...)...) }
	}
	t.Run("while connected", func(t *testing.T) {
		proxy, broker, _ := connected(t)
		publisher := broker.Publisher()
		proxy.swallow()
		few, many := newEvents(t, 1), newEvents(t, 5000)
		ended(t, "Ping", publisher.Ping)
		ended(t, "Publish of 1 event", publishing(publisher, few...))
		ended(t, "Publish of 5000 events", publishing(publisher, many...))
		ended(t, "Publish of 1 event after that", publishing(publisher, few...))
		ended(t, "Close", broker.Close)
		if err := tryPublish(t, publisher, few...); !errors.Is(err, ports.ErrUnavailable) {
			t.Errorf("Publish after Close: error %v, want ErrUnavailable", err)
		}
	})
	t.Run("while connecting", func(t *testing.T) {
		proxy := newProxy(t, nil)
		proxy.swallow()
		broker := open(t, through(t, proxy.address), rabbitmq.Topology{})
		publisher := broker.Publisher()
		event := newEvent(t)
		ended(t, "Ping", publisher.Ping)
		ended(t, "Publish", publishing(publisher, event))
		start := time.Now()
		if err := broker.Close(bounded(t, patience)); err != nil || time.Since(start) > time.Second {
			t.Errorf("Close: error %v after %v, want none at once", err, time.Since(start))
		}
	})
	t.Run("with full buffers", func(t *testing.T) { // of the kernel, too
		proxy, broker, _ := connected(t)
		publisher := broker.Publisher()
		proxy.swallow()
		fat := newEvents(t, 60)
		for i := range fat {
			fat[i].Order.Product = strings.Repeat("x", 256<<10)
		}
		ended(t, "Publish", publishing(publisher, fat...))
		ended(t, "Publish after that", publishing(publisher, fat[0]))
		ended(t, "Ping", publisher.Ping)
		ended(t, "Close", broker.Close)
	})
}

func TestBlockedPublisher(t *testing.T) {
	var log logBuffer
	proxy, broker, topology := connected(t, logInto(&log))
	publisher := broker.Publisher()

	proxy.block(t)
	eventually(t, "the block is noticed", func() bool { return log.count("broker takes no messages") == 1 })
	for what, call := range map[string]func(context.Context) error{
		"Ping":    publisher.Ping,
		"Publish": func(ctx context.Context) error { return errors.Join(publisher.Publish(ctx, newEvent(t))...) },
	} {
		err := call(bounded(t, patience))
		if !errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), "the broker takes no messages: low on memory") {
			t.Errorf("%s: error %v, want ErrUnavailable with the reason", what, err)
		}
	}
	proxy.unblock(t)
	eventually(t, "events are published again", func() bool {
		return tryPublish(t, publisher, newEvent(t)) == nil
	})
	if n := messages(t, topology.Queue); n != 2 {
		t.Errorf("%d messages in the queue, want 2", n)
	}
	if log.count("broker takes messages again") != 1 {
		t.Errorf("the end of the block was not logged once:\n%s", &log)
	}
}
