package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/ports"
)

// letterbox keeps the letters that a drain hands over.
type letterbox struct {
	mu      sync.Mutex
	letters []ports.DeadLetter
	fail    func(nth int) error // nil: never
}

func (b *letterbox) keep(_ context.Context, letter ports.DeadLetter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letters = append(b.letters, letter)
	if b.fail != nil {
		return b.fail(len(b.letters))
	}
	return nil
}

func (b *letterbox) await(t testing.TB, count int) []ports.DeadLetter {
	t.Helper()
	var letters []ports.DeadLetter
	eventually(t, "dead letters are handed over", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		letters = append([]ports.DeadLetter(nil), b.letters...)
		return len(letters) >= count
	})
	return letters
}

func failForGood(context.Context, ports.Delivery) error {
	return ports.Permanent(errors.New("no such address"))
}

// The broker sets a message aside after 21 consumers have crashed before they
// acknowledged it. It puts the message into the consumer's dead-letter queue.
func TestPoison(t *testing.T) {
	topology := newTopology(t)
	event := newEvent(t)
	publish(t, newPublisher(t, brokerURL(t), topology), event)
	start := time.Now().Truncate(time.Second)
	crashes := 0
	eventually(t, "the message is set aside", func() bool {
		ch := openChannel(t)
		defer ch.Close()
		_, ok, err := ch.Get(topology.Queue, false)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			crashes++
		}
		return messages(t, deadLetters(topology)) == 1
	})
	if want := 21; crashes != want {
		t.Errorf("set aside after %d crashes, want %d", crashes, want)
	}

	queue := newDeadLetterQueue(t, brokerURL(t), topology)
	var box letterbox
	drain(t, queue, box.keep)
	letter := box.await(t, 1)[0]
	failure := letter.Failure
	if failure.FirstFailure.Before(start) || failure.LastFailure.After(time.Now()) {
		t.Errorf("first and last failure at %v and %v, want both from %v on", failure.FirstFailure, failure.LastFailure, start)
	}
	want := ports.Failure{
		Reason:   "set aside by the broker: 21 times a consumer crashed or lost its connection before it acknowledged the message",
		Attempts: 21,
	}
	if diff := cmp.Diff(want, failure, cmpopts.IgnoreTypes(time.Time{})); letter.ID != string(event.ID) || diff != "" {
		t.Errorf("dead letter %s, want %s; failure (-want +got):\n%s", letter.ID, event.ID, diff)
	}

	if err := queue.Replay(bounded(t, patience), letter); err != nil {
		t.Fatal(err)
	}
	checkAsPublished(t, topology, event.ID, event.Time)
	got := make(chan ports.Delivery, 1)
	consume(t, newConsumer(t, brokerURL(t), topology), func(_ context.Context, d ports.Delivery) error {
		got <- d
		return nil
	})
	if diff := cmp.Diff(ports.Delivery{Event: event, Attempt: 1}, receive(t, got)); diff != "" {
		t.Errorf("handed over (-want +got):\n%s", diff)
	}
}

// checkAsPublished fails t unless the main queue has one message, as if it had
// just been published.
func checkAsPublished[ID ~string](t testing.TB, topology rabbitmq.Topology, id ID, at time.Time) {
	t.Helper()
	got := peek(t, topology.Queue)
	if len(got) != 1 {
		t.Fatalf("%d messages in the queue, want only the replayed one", len(got))
	}
	d := got[0]
	if d.MessageId != string(id) || d.DeliveryMode != amqp.Persistent || !d.Timestamp.Equal(at.Truncate(time.Second)) {
		t.Errorf("replayed as %q, mode %d, of %v; want %q, persistent, of %v", d.MessageId, d.DeliveryMode, d.Timestamp, id, at)
	}
	for name, value := range d.Headers {
		reading := name == "x-delivery-count" && value == int64(0) // RabbitMQ 3 adds it to each delivery
		if strings.HasPrefix(name, "x-") && !reading || strings.HasPrefix(name, "orderflow-") || name == "CC" || name == "BCC" {
			t.Errorf("replayed with header %s: %v", name, value)
		}
	}
}

// A message of another program is replayed unchanged, but only to the main queue.
func TestReplayOfForeignMessage(t *testing.T) {
	topology := newTopology(t)
	consumer := newConsumer(t, brokerURL(t), topology)
	stop := consume(t, consumer, handleNothing)
	queue := newDeadLetterQueue(t, brokerURL(t), topology)
	var box letterbox
	drain(t, queue, box.keep)
	ch := openChannel(t)
	other, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	awaitConsuming(t, consumer)
	send(t, amqp.DefaultExchange, topology.Queue, amqp.Publishing{
		Headers:   amqp.Table{"number": int64(1), "CC": []any{other.Name}, "from": "elsewhere"},
		MessageId: "m", ContentType: "text/plain", Body: []byte("\xff"), DeliveryMode: amqp.Transient,
	})
	letter := box.await(t, 1)[0]
	stop()
	want := map[string]string{"number": "1", "from": "elsewhere"}
	if diff := cmp.Diff(want, letter.Message.Headers); diff != "" || letter.Message.ID != "m" || letter.Message.ContentType != "text/plain" || string(letter.Message.Body) != "\xff" {
		t.Errorf("dead letter %q of type %q with body %q, headers (-want +got):\n%s", letter.Message.ID, letter.Message.ContentType, letter.Message.Body, diff)
	}
	if err := queue.Replay(bounded(t, patience), letter); err != nil {
		t.Fatal(err)
	}
	checkAsPublished(t, topology, "m", time.Time{})
	q, err := ch.QueueDeclarePassive(other.Name, false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if q.Messages != 1 {
		t.Errorf("%d messages in the queue of the sender's CC, want only the sender's own", q.Messages)
	}
}

// The properties that other senders set are kept and replayed. This holds for
// events and other messages, set aside by the consumer or the broker.
func TestPropertiesOfDeadLetters(t *testing.T) {
	topology := newTopology(t)
	declareTopology(t, brokerURL(t), topology)
	uri, err := amqp.ParseURI(brokerURL(t))
	if err != nil {
		t.Fatal("TEST_BROKER_URL is not the URL of a broker")
	}
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	send := func(id, expiration string, headers map[string]string, body []byte) {
		t.Helper()
		m := amqp.Publishing{
			MessageId: id, ContentType: "text/x-any", ContentEncoding: "gzip", CorrelationId: "correlation", ReplyTo: "reply",
			Type: "type", AppId: "app", Timestamp: at, UserId: uri.Username, Priority: 3, Expiration: expiration, Headers: amqp.Table{}, Body: body,
		}
		for name, value := range headers {
			m.Headers[name] = value
		}
		send(t, amqp.DefaultExchange, topology.Queue, m)
	}
	send("expired", "1", nil, []byte("hello"))
	eventually(t, "the broker sets a message aside", func() bool { return messages(t, deadLetters(topology)) == 1 })

	event, err := wire.Encode(newEvent(t))
	if err != nil {
		t.Fatal(err)
	}
	send("no event", "", nil, []byte("hello"))
	send("event", "", event.Headers, event.Body)
	var log logBuffer
	consumer := newConsumer(t, brokerURL(t), topology, func(o *rabbitmq.Options) { o.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	stop := consume(t, consumer, func(_ context.Context, d ports.Delivery) error {
		if d.Attempt == 1 {
			return errors.New("busy")
		}
		return ports.Permanent(errors.New("no such address"))
	})
	queue := newDeadLetterQueue(t, brokerURL(t), topology)
	var box letterbox
	drain(t, queue, box.keep)
	letters := box.await(t, 3)
	stop()

	for _, letter := range letters {
		want := ports.Message{
			ID: letter.Message.ID, ContentType: "text/x-any", ContentEncoding: "gzip", CorrelationID: "correlation",
			ReplyTo: "reply", Type: "type", AppID: "app", Timestamp: at,
		}
		if diff := cmp.Diff(want, letter.Message, cmpopts.IgnoreFields(ports.Message{}, "Headers", "Body")); diff != "" {
			t.Errorf("message of a dead letter (-want +got):\n%s", diff)
		}
		if err := queue.Replay(bounded(t, patience), letter); err != nil {
			t.Fatal(err)
		}
		lines := 1
		if letter.Message.ID == "expired" {
			lines = 0 // the broker set it aside, not the consumer
		}
		line := fmt.Sprintf(`"msg":"message is set aside as a dead letter","connection":"orderflow consumer","id":%q,"attempts":%d,"reason":`,
			letter.ID, letter.Failure.Attempts)
		if n := log.count(line); n != lines {
			t.Errorf("letter %s is named in %d lines of the log, want %d:\n%s", letter.ID, n, lines, log.String())
		}
	}
	line := fmt.Sprintf(`"msg":"attempt failed; the event comes again","connection":"orderflow consumer","event_id":%q,"attempts":1,"again_in":"50ms","reason":"busy"`, event.ID)
	if n := log.count(line); n != 1 {
		t.Errorf("the failed attempt is in %d lines of the log, want 1:\n%s", n, log.String())
	}

	replayed := peek(t, topology.Queue)
	if len(replayed) != len(letters) {
		t.Errorf("%d messages were replayed, want %d", len(replayed), len(letters))
	}
	for _, d := range replayed {
		want := amqp.Publishing{
			ContentType: "text/x-any", ContentEncoding: "gzip", CorrelationId: "correlation", ReplyTo: "reply", Type: "type", AppId: "app", Timestamp: at,
		}
		got := amqp.Publishing{
			ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, Type: d.Type, AppId: d.AppId,
			Timestamp: d.Timestamp.UTC(), UserId: d.UserId, Priority: d.Priority, Expiration: d.Expiration,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s replayed (-want +got):\n%s", d.MessageId, diff)
		}
	}
}

// Two equal messages of another program become two letters. Each reading returns the
// same two.
func TestForeignMessagesInDeadLetterQueue(t *testing.T) {
	topology := newTopology(t)
	queue := newDeadLetterQueue(t, brokerURL(t), topology)
	declareTopology(t, brokerURL(t), topology)
	start := time.Now().Truncate(time.Millisecond)
	for range 2 {
		send(t, amqp.DefaultExchange, deadLetters(topology), amqp.Publishing{Body: []byte("hello")})
	}
	box := letterbox{fail: func(nth int) error {
		if nth <= 2 {
			return errors.New("the store is unreachable")
		}
		return nil
	}}
	drain(t, queue, box.keep)
	letters := box.await(t, 4)
	byID := map[string]ports.DeadLetter{}
	for _, letter := range letters {
		first, again := byID[letter.ID]
		if diff := cmp.Diff(first, letter); again && diff != "" {
			t.Errorf("at the next reading (-first +next):\n%s", diff)
		}
		byID[letter.ID] = letter
		f := letter.Failure
		if f.Reason != "put into the dead-letter queue by another program" || f.Attempts != 0 {
			t.Errorf("failure %+v, want 0 attempts by another program", f)
		}
		if f.FirstFailure.Before(start) || !f.LastFailure.Equal(f.FirstFailure) || f.LastFailure.After(time.Now()) {
			t.Errorf("failed at %v and %v, want both from %v on", f.FirstFailure, f.LastFailure, start)
		}
	}
	if len(byID) != 2 {
		t.Errorf("%d letters, want 2", len(byID))
	}
}

// If the connection is lost during keep, the letter comes again unchanged, so that
// the store recognises the repeat.
func TestDrainConnectsAgain(t *testing.T) {
	topology := newTopology(t)
	proxy := newProxy(t, nil)
	const count = 60 // more than the prefetch
	setAside(t, topology, count)
	queue := newDeadLetterQueue(t, through(t, proxy.address), topology)
	began, end := make(chan struct{}, 1000), make(chan struct{})
	var box letterbox
	stop := drain(t, queue, func(ctx context.Context, letter ports.DeadLetter) error {
		began <- struct{}{}
		<-end
		return box.keep(ctx, letter)
	})
	receive(t, began)
	eventually(t, "the drain has as many letters as its prefetch", func() bool { return messages(t, deadLetters(topology)) == count-50 })
	proxy.cut()
	eventually(t, "the drain has fetched letters again", func() bool { return messages(t, deadLetters(topology)) == count-50 })
	close(end)
	seen := map[string]ports.DeadLetter{}
	eventually(t, "all letters are kept", func() bool {
		for _, letter := range box.await(t, 0) {
			seen[letter.ID] = letter
		}
		return len(seen) == count
	})
	stop()
	handed := 0
	for _, letter := range box.await(t, count) {
		if cmp.Equal(seen[letter.ID], letter) {
			handed++
		} else {
			t.Errorf("after the loss (-before +now):\n%s", cmp.Diff(seen[letter.ID], letter))
		}
	}
	if handed == count {
		t.Error("no letter came again, although the connection was lost during keep")
	}
	if n := messages(t, deadLetters(topology)); n != 0 {
		t.Errorf("%d letters are left, want none", n)
	}
}

// setAside makes dead letters of count events.
func setAside(t testing.TB, topology rabbitmq.Topology, count int) {
	t.Helper()
	publish(t, newPublisher(t, brokerURL(t), topology), newEvents(t, count)...)
	stop := consume(t, newConsumer(t, brokerURL(t), topology), failForGood)
	eventually(t, "the events are set aside", func() bool { return messages(t, deadLetters(topology)) == count })
	stop()
}

// When a drain stops, it gives back pausing letters immediately.
func TestStoppedDrainGivesLettersBack(t *testing.T) {
	topology := newTopology(t)
	setAside(t, topology, 1)
	queue := newDeadLetterQueue(t, brokerURL(t), topology)
	queue.SetPause(time.Hour)
	box := letterbox{fail: func(int) error { return errors.New("the store is unreachable") }}
	stop := drain(t, queue, box.keep)
	box.await(t, 1)
	start := time.Now()
	stop()
	if d := time.Since(start); d > patience/2 {
		t.Errorf("Drain took %v to end", d)
	}
	eventually(t, "the letter is in the queue", func() bool { return messages(t, deadLetters(topology)) == 1 })
	if n := len(box.await(t, 1)); n != 1 {
		t.Errorf("the letter was handed over %d times, want once", n)
	}
}

func TestBlockedDeadLetterQueue(t *testing.T) {
	topology := newTopology(t)
	proxy := newProxy(t, nil)
	setAside(t, topology, 1)
	var log logBuffer
	queue := newDeadLetterQueue(t, through(t, proxy.address), topology, logInto(&log))
	kept := make(chan struct{})
	box := letterbox{fail: func(int) error {
		select {
		case <-kept:
			return nil
		default:
			return errors.New("the store is unreachable")
		}
	}}
	drain(t, queue, box.keep)
	letter := box.await(t, 2)[0] // the second time, after "orderflow replay" has connected to requeue it

	proxy.block(t)
	eventually(t, "the block is noticed", func() bool { return log.count(`"broker takes no messages" connection="orderflow replay"`) == 1 })
	start := time.Now()
	err := queue.Replay(bounded(t, patience), letter)
	if !errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), "the broker takes no messages: low on memory") ||
		!strings.Contains(err.Error(), letter.ID) {
		t.Errorf("replay: error %v, want ErrUnavailable with the reason and the letter's id", err)
	}
	if d := time.Since(start); d > patience/2 {
		t.Errorf("the refusal took %v", d)
	}

	proxy.unblock(t)
	close(kept)
	eventually(t, "the letter is kept", func() bool { return messages(t, deadLetters(topology)) == 0 })
	eventually(t, "the letter is replayed", func() bool { return queue.Replay(bounded(t, patience), letter) == nil })
	if n := messages(t, topology.Queue); n != 1 {
		t.Errorf("%d messages in the main queue, want 1", n)
	}
}

// On a dead link, Replay returns soon after its context has ended.
func TestReplayOnADeadLink(t *testing.T) {
	topology := newTopology(t)
	proxy := newProxy(t, nil)
	queue := newDeadLetterQueue(t, through(t, proxy.address), topology)
	letter := ports.DeadLetter{ID: "l", Message: ports.Message{Body: []byte("hello")}}
	if err := queue.Replay(bounded(t, patience), letter); err != nil {
		t.Fatal(err)
	}
	proxy.swallow()
	start := time.Now()
	err := queue.Replay(bounded(t, 300*time.Millisecond), letter)
	if !errors.Is(err, ports.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
		t.Errorf("error %v after %v, want ErrUnavailable and the context's", err, time.Since(start))
	}
	proxy.flow()
	proxy.cut()
}
