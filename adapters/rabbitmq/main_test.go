package rabbitmq_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second // the limit for a required result

// brokerURL returns the URL of a real RabbitMQ.
func brokerURL(t testing.TB) string {
	t.Helper()
	url := os.Getenv("TEST_BROKER_URL")
	if url == "" {
		t.Skip("set TEST_BROKER_URL to run this test, such as to amqp://localhost:5672/")
	}
	return url
}

// brokerAddress returns its host and port.
func brokerAddress(t testing.TB) string {
	t.Helper()
	uri, err := amqp.ParseURI(brokerURL(t))
	if err != nil {
		t.Fatal("TEST_BROKER_URL is not the URL of a broker")
	}
	return fmt.Sprintf("%s:%d", uri.Host, uri.Port)
}

// through returns the broker's URL with another address.
func through(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(brokerURL(t))
	if err != nil {
		t.Fatal("TEST_BROKER_URL is not a URL")
	}
	u.Host = address
	return u.String()
}

// openChannel returns a channel on a new connection.
func openChannel(t testing.TB) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(brokerURL(t))
	if err != nil {
		t.Fatalf("connect to the broker of TEST_BROKER_URL: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// newTopology returns a topology that is deleted after the test.
func newTopology(t testing.TB, delays ...time.Duration) rabbitmq.Topology {
	t.Helper()
	name := "test." + rand.Text()[:12]
	topology := rabbitmq.Topology{Exchange: name + ".orders", Queue: name + ".order_created", Delays: delays}
	if delays == nil {
		topology.Delays = []time.Duration{50 * time.Millisecond, 100 * time.Millisecond}
	}
	ch := openChannel(t)
	t.Cleanup(func() {
		var errs []error
		for _, queue := range queues(topology) {
			_, err := ch.QueueDelete(queue, false, false, false)
			errs = append(errs, err)
		}
		errs = append(errs, ch.ExchangeDelete(topology.Exchange, false, false), ch.ExchangeDelete(deadLetters(topology), false, false))
		if err := errors.Join(errs...); err != nil {
			t.Errorf("delete the test's queues and exchanges: %v", err)
		}
	})
	return topology
}

// deleteSubscription deletes the subscription's queues after the test.
func deleteSubscription(t testing.TB, topology rabbitmq.Topology, name string) {
	t.Helper()
	ch := openChannel(t)
	t.Cleanup(func() {
		for _, queue := range eventQueues(topology, name) {
			if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
				t.Errorf("delete the test's queue: %v", err)
			}
		}
	})
}

func deadLetters(topology rabbitmq.Topology) string { return topology.Queue + ".dead-letter" }

func unreadable(topology rabbitmq.Topology) string { return topology.Queue + ".unreadable" }

func queues(topology rabbitmq.Topology) []string {
	return append([]string{deadLetters(topology), unreadable(topology)}, eventQueues(topology, "")...)
}

// eventQueues returns the subscription's queue and its retry queues.
func eventQueues(topology rabbitmq.Topology, subscription string) []string {
	queue := topology.Queue
	if subscription != "" {
		queue += "." + subscription
	}
	names := []string{queue}
	for _, d := range topology.Delays {
		names = append(names, queue+".retry."+d.String())
	}
	return names
}

// open opens a broker that logs to the test and is closed after it.
func open(t testing.TB, url string, topology rabbitmq.Topology, set ...func(*rabbitmq.Options)) *rabbitmq.Broker {
	t.Helper()
	options := rabbitmq.Options{Topology: topology, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, set := range set {
		set(&options)
	}
	broker, err := rabbitmq.Open(url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := broker.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return broker
}

func logInto(log *logBuffer) func(*rabbitmq.Options) {
	return func(o *rabbitmq.Options) { o.Logger = slog.New(slog.NewTextHandler(log, nil)) }
}

func prefetching(n int) func(*rabbitmq.Options) {
	return func(o *rabbitmq.Options) { o.Prefetch = n }
}

func newPublisher(t testing.TB, url string, topology rabbitmq.Topology, set ...func(*rabbitmq.Options)) *rabbitmq.Publisher {
	t.Helper()
	return open(t, url, topology, set...).Publisher()
}

func newConsumer(t testing.TB, url string, topology rabbitmq.Topology, set ...func(*rabbitmq.Options)) *rabbitmq.Consumer {
	t.Helper()
	return open(t, url, topology, set...).Consumer()
}

// newDeadLetterQueue returns a queue in which a letter comes again after a second.
func newDeadLetterQueue(t testing.TB, url string, topology rabbitmq.Topology, set ...func(*rabbitmq.Options)) *rabbitmq.DeadLetterQueue {
	t.Helper()
	queue := open(t, url, topology, set...).DeadLetterQueue()
	queue.SetPause(time.Second)
	return queue
}

// declareTopology makes the queues exist before the test needs them.
func declareTopology(t testing.TB, url string, topology rabbitmq.Topology) {
	t.Helper()
	if err := newPublisher(t, url, topology).Ping(bounded(t, patience)); err != nil {
		t.Fatal(err)
	}
}

func tryPublish(t testing.TB, publisher *rabbitmq.Publisher, events ...domain.Event) error {
	return errors.Join(publisher.Publish(bounded(t, patience), events...)...)
}

func publish(t testing.TB, publisher *rabbitmq.Publisher, events ...domain.Event) {
	t.Helper()
	if err := tryPublish(t, publisher, events...); err != nil {
		t.Fatal(err)
	}
}

// send publishes a message as another program may.
func send(t testing.TB, exchange, key string, message amqp.Publishing) {
	t.Helper()
	if err := openChannel(t).PublishWithContext(t.Context(), exchange, key, true, false, message); err != nil {
		t.Fatal(err)
	}
}

// messages returns the number of messages that wait in the queue.
func messages(t testing.TB, queue string) int {
	t.Helper()
	q, err := openChannel(t).QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages
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

func awaitConsuming(t testing.TB, consumer *rabbitmq.Consumer) {
	t.Helper()
	eventually(t, "the consumer consumes", func() bool { return consumer.Ping(bounded(t, patience)) == nil })
}

// consume runs Consume until the test ends or stop is called; stop waits for it.
func consume(t testing.TB, consumer *rabbitmq.Consumer, handle ports.Handler) (stop func()) {
	t.Helper()
	return run(t, func(ctx context.Context) error { return consumer.Consume(ctx, handle) })
}

// drain runs Drain until the test ends or stop is called; stop waits for it.
func drain(t testing.TB, queue *rabbitmq.DeadLetterQueue, keep func(context.Context, ports.DeadLetter) error) (stop func()) {
	t.Helper()
	return run(t, func(ctx context.Context) error { return queue.Drain(ctx, keep) })
}

func run(t testing.TB, call func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	returned := make(chan error, 1)
	go func() { returned <- call(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-returned:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the call did not return after its context had ended")
		}
	})
	t.Cleanup(stop)
	return stop
}

func newEvent(t testing.TB) domain.Event {
	t.Helper()
	order, err := domain.NewOrder(newOrderID(), "123", "Laptop", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return order.Created()
}

func newEvents(t testing.TB, count int) []domain.Event {
	t.Helper()
	events := make([]domain.Event, count)
	for i := range events {
		events[i] = newEvent(t)
	}
	return events
}

func newOrderID() domain.OrderID {
	var b [16]byte
	rand.Read(b[:])
	return domain.OrderID(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

func bounded(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not happen within %v: %s", patience, what)
		}
	}
}

// logBuffer collects the log.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) count(text string) int { return strings.Count(b.String(), text) }
