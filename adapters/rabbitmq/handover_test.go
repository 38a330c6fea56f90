package rabbitmq_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/ports"
)

func TestDeadLetterHeaders(t *testing.T) {
	topology := newTopology(t)
	event := newEvent(t)
	publish(t, newPublisher(t, brokerURL(t), topology), event)
	start := time.Now().Truncate(time.Second)
	consume(t, newConsumer(t, brokerURL(t), topology), func(_ context.Context, d ports.Delivery) error {
		return errors.New("failure no. " + strconv.Itoa(d.Attempt) + strings.Repeat(" and so on", 1000))
	})
	dead := awaitDeadLetter(t, topology)
	if dead.MessageId != string(event.ID) {
		t.Errorf("dead letter %q, want %q", dead.MessageId, event.ID)
	}
	checkFailureHeaders(t, dead, 3, "failure no. 3 and so on", start)
	for name := range dead.Headers {
		if strings.HasPrefix(name, "x-") && name != "x-acquired-count" && name != "x-delivery-count" { // added when the test reads it
			t.Errorf("the dead letter has the broker's header %s", name)
		}
	}
}

func TestDeadLetterOfNoEvent(t *testing.T) {
	topology := newTopology(t)
	start := time.Now().Truncate(time.Second)
	consumer := newConsumer(t, brokerURL(t), topology)
	consume(t, consumer, handleNothing)
	awaitConsuming(t, consumer)
	uri, err := amqp.ParseURI(brokerURL(t))
	if err != nil {
		t.Fatal(err)
	}
	body := "no \xff event"
	send(t, topology.Exchange, "order.created", amqp.Publishing{
		Headers: amqp.Table{"from": "elsewhere", "CC": []any{topology.Queue + ".retry.50ms"}},
		Body:    []byte(body), ContentType: "text/plain", Expiration: "60000", UserId: uri.Username,
	})
	dead := awaitDeadLetter(t, topology)
	checkFailureHeaders(t, dead, 1, "decode event: ", start)
	if string(dead.Body) != body || dead.ContentType != "text/plain" || dead.Headers["from"] != "elsewhere" {
		t.Errorf("dead letter %q of type %q from %v, want the sender's", dead.Body, dead.ContentType, dead.Headers["from"])
	}
}

func awaitDeadLetter(t testing.TB, topology rabbitmq.Topology) amqp.Delivery {
	t.Helper()
	var dead []amqp.Delivery
	eventually(t, "a message is set aside", func() bool {
		dead = peek(t, deadLetters(topology))
		return len(dead) > 0
	})
	return dead[0]
}

func checkFailureHeaders(t testing.TB, d amqp.Delivery, attempts int, reason string, start time.Time) {
	t.Helper()
	text := func(name string) string { s, _ := d.Headers[name].(string); return s }
	if got := text("orderflow-attempts"); got != strconv.Itoa(attempts) {
		t.Errorf("%s attempts, want %d", got, attempts)
	}
	if got := text("orderflow-reason"); !strings.HasPrefix(got, reason) || len(got) > 1024 {
		t.Errorf("reason of %d bytes %.100q…, want %q and at most 1024", len(got), got, reason)
	}
	var failures []time.Time
	for _, name := range []string{"orderflow-first-failure", "orderflow-last-failure"} {
		at, err := time.Parse(time.RFC3339, text(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		failures = append(failures, at)
	}
	times := append(append([]time.Time{start}, failures...), time.Now())
	if !slices.IsSortedFunc(times, time.Time.Compare) {
		t.Errorf("start, first failure, last failure, now: %v", times)
	}
}

// attemptLog records the attempts of the handled deliveries.
type attemptLog struct {
	mu       sync.Mutex
	attempts []int
}

func (l *attemptLog) failFirst(_ context.Context, d ports.Delivery) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts = append(l.attempts, d.Attempt)
	if d.Attempt == 1 {
		return errors.New("not yet")
	}
	return nil
}

func (l *attemptLog) got() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.attempts)
}

// A failed event that can't be published again stays unacknowledged: it does not come
// again early, and is not lost.
func TestHandOverThatFails(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T) (*proxy, rabbitmq.Topology, *attemptLog, func()) {
		topology := newTopology(t)
		proxy := newProxy(t, nil)
		consumer := newConsumer(t, through(t, proxy.address), topology)
		var log attemptLog
		stop := consume(t, consumer, log.failFirst)
		awaitConsuming(t, consumer)
		proxy.refuse(true) // only new connections
		publish(t, newPublisher(t, brokerURL(t), topology), newEvent(t))
		eventually(t, "the event fails and the hand-over is tried twice", func() bool { return proxy.refused() > 1 })
		if diff := cmp.Diff([]int{1}, log.got()); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		return proxy, topology, &log, stop
	}
	t.Run("until it succeeds", func(t *testing.T) {
		proxy, topology, log, _ := start(t)
		proxy.refuse(false)
		eventually(t, "the event comes again", func() bool { return len(log.got()) == 2 })
		if diff := cmp.Diff([]int{1, 2}, log.got()); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		eventually(t, "the event is acknowledged", func() bool { return messages(t, topology.Queue) == 0 })
	})
	t.Run("until the consumer stops", func(t *testing.T) {
		_, topology, log, stop := start(t)
		stop()
		left := peek(t, topology.Queue)
		if len(left) != 1 || left[0].Headers["orderflow-attempts"] != nil {
			t.Errorf("%d messages in the queue, want only the failed one, unchanged", len(left))
		}
		if diff := cmp.Diff([]int{1}, log.got()); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
	})
	t.Run("until the connection is lost", func(t *testing.T) {
		proxy, topology, log, _ := start(t)
		proxy.cut()
		proxy.refuse(false)
		eventually(t, "the event comes again, and then again", func() bool { return slices.Contains(log.got(), 2) })
		if diff := cmp.Diff([]int{1, 1, 2}, log.got()); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		eventually(t, "it is acknowledged", func() bool { return messages(t, topology.Queue) == 0 })
	})
}

// A deleted retry queue is declared again, and the next failed event is not lost.
func TestHandOverToADeletedQueue(t *testing.T) {
	topology := newTopology(t)
	var log attemptLog
	consumer := newConsumer(t, brokerURL(t), topology)
	consume(t, consumer, log.failFirst)
	publisher := newPublisher(t, brokerURL(t), topology)
	publish(t, publisher, newEvent(t)) // opens the hand-over connection
	eventually(t, "the event comes again", func() bool { return len(log.got()) == 2 })
	if _, err := openChannel(t).QueueDelete(topology.Queue+".retry.50ms", false, false, false); err != nil {
		t.Fatal(err)
	}
	publish(t, publisher, newEvent(t))
	eventually(t, "the next event comes again", func() bool { return len(log.got()) == 4 })
	if diff := cmp.Diff([]int{1, 2, 1, 2}, log.got()); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
}

// The headers of the failure fit into the frame with the sender's headers.
func TestDeadLetterWithFullHeaders(t *testing.T) {
	topology := newTopology(t)
	consumer := newConsumer(t, brokerURL(t), topology)
	consume(t, consumer, handleNothing)
	awaitConsuming(t, consumer)
	send(t, topology.Exchange, "order.created", amqp.Publishing{
		Headers: amqp.Table{"long": strings.Repeat("x", 130_800), "short": "y"},
		Body:    []byte("no event"),
	})
	dead := awaitDeadLetter(t, topology)
	if string(dead.Body) != "no event" || dead.Headers["short"] != "y" {
		t.Errorf("dead letter %q, short header %v, want the sender's", dead.Body, dead.Headers["short"])
	}
}
