package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Every published message fits into the frames of its connection. A broker, or a
// proxy in front of it, may allow smaller frames than the sender's.
func TestSmallFrames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("p", 255)
	full := amqp.Publishing{
		ContentType: long, ContentEncoding: long, CorrelationId: long, ReplyTo: long, MessageId: long, Type: long, AppId: long,
	}
	one := func(size int) amqp.Table { return amqp.Table{"x-long": strings.Repeat("x", size)} }
	many := func(size int) amqp.Table {
		headers := amqp.Table{}
		for i := range size / 21 {
			headers[fmt.Sprintf("x-%03d", i)] = "0123456789"
		}
		return headers
	}
	const frame = 8192 // the least that RabbitMQ 4 agrees to
	for name, message := range map[string]amqp.Publishing{
		"one long header":                withHeaders(amqp.Publishing{}, one(frame-92)),
		"many short headers":             withHeaders(amqp.Publishing{}, many(frame-200)),
		"one long header and properties": withHeaders(full, one(frame-1900)),
		"many headers and properties":    withHeaders(full, many(frame-2000)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			message.Body = []byte("no event")
			topology := newTopology(t)
			proxy := newProxy(t, nil)
			proxy.frameMax = uint32(frame)
			consumer := newConsumer(t, through(t, proxy.address), topology)
			stop := consume(t, consumer, handleNothing)
			put := func(queue string) {
				t.Helper()
				send(t, amqp.DefaultExchange, queue, message)
			}
			awaitConsuming(t, consumer)
			put(topology.Queue)
			dead := awaitDeadLetter(t, topology)
			if dead.Headers["orderflow-attempts"] != "1" || dead.Headers["orderflow-reason"] == nil || dead.CorrelationId != message.CorrelationId {
				t.Errorf("set aside with headers %.300v and correlation id %.10s…", dead.Headers, dead.CorrelationId)
			}
			stop()

			put(deadLetters(topology)) // the drain has to complete it
			box := letterbox{fail: func(nth int) error {
				if nth <= 2 {
					return errors.New("not yet")
				}
				return nil
			}}
			queue := newDeadLetterQueue(t, through(t, proxy.address), topology)
			drain(t, queue, box.keep)
			letter := box.await(t, 4)[0]
			if n := messages(t, unreadable(topology)); n > 0 {
				t.Errorf("%d messages are in the queue for unreadable messages, want none", n)
			}
			letter.Message.Headers = map[string]string{"x-long": strings.Repeat("x", frame)}
			if err := queue.Replay(bounded(t, patience), letter); err != nil {
				t.Error(err)
			}
		})
	}
}

// The headers that the broker adds later still fit into a frame. A retried event is
// handled in the end. A message that is set aside becomes one letter, with the logged
// id.
func TestSmallFramesComeBack(t *testing.T) {
	t.Parallel()
	for _, size := range []int{5000, 6000, 7000, 7500, 7700} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			topology := newTopology(t)
			proxy := newProxy(t, nil)
			proxy.frameMax = 8192
			url := through(t, proxy.address)
			event := newEvent(t)
			encoded, err := wire.Encode(event)
			if err != nil {
				t.Fatal(err)
			}
			headers := amqp.Table{"x-long": strings.Repeat("x", size)}
			for name, value := range encoded.Headers {
				headers[name] = value
			}
			var log logBuffer
			consumer := newConsumer(t, url, topology, logInto(&log))
			handled := make(chan domain.Event, 1)
			calls := 0
			consume(t, consumer, func(ctx context.Context, d ports.Delivery) error {
				switch calls++; calls {
				case 1:
					return ports.Postpone(errors.New("the store is unreachable"))
				case 2, 3:
					return errors.New("not yet")
				default:
					return handInto(handled)(ctx, d)
				}
			})
			awaitConsuming(t, consumer)
			for _, p := range []amqp.Publishing{
				{MessageId: encoded.ID, ContentType: encoded.ContentType, Headers: headers, Body: encoded.Body},
				{MessageId: "poison", Headers: amqp.Table{"x-long": strings.Repeat("x", size+350)}, Body: []byte("no event")},
			} {
				send(t, amqp.DefaultExchange, topology.Queue, p)
			}
			await(t, handled, event)
			if n := log.count("headers too long for a frame are left out"); size > 6000 && n < 2 {
				t.Errorf("%d warnings about left-out headers, want one for each message:\n%s", n, &log)
			}
			if n := log.count("disconnected"); n > 0 {
				t.Errorf("%d connections were lost:\n%s", n, &log)
			}

			var box letterbox
			drain(t, newDeadLetterQueue(t, url, topology), box.keep)
			letter := box.await(t, 1)[0]
			if log.count("id="+letter.ID) != 1 {
				t.Errorf("the log does not name letter %s once:\n%s", letter.ID, &log)
			}
			if n := messages(t, unreadable(topology)) + messages(t, deadLetters(topology)); n > 0 || len(box.await(t, 1)) > 1 {
				t.Errorf("%d other messages are unreadable or set aside, want none", n)
			}
		})
	}
}

// Drain shortens a letter's headers to a frame before keep gets it. Later this would
// change the letter's id.
func TestDrainShortensHeadersFirst(t *testing.T) {
	t.Parallel()
	topology := newTopology(t)
	proxy := newProxy(t, nil)
	proxy.frameMax = 8192
	queue := newDeadLetterQueue(t, through(t, proxy.address), topology)
	box := letterbox{fail: func(nth int) error {
		if nth <= 2 {
			return errors.New("not yet")
		}
		return nil
	}}
	drain(t, queue, box.keep)
	declareTopology(t, brokerURL(t), topology)
	send(t, amqp.DefaultExchange, deadLetters(topology), amqp.Publishing{
		MessageId: "m", Body: []byte("no event"), Headers: amqp.Table{
			"x-long": strings.Repeat("x", 6500), "orderflow-attempts": "1", "orderflow-reason": "no",
			"orderflow-first-failure": "2026-11-23T10:00:00.000Z", "orderflow-last-failure": "2026-11-23T10:00:00.000Z",
		},
	})
	for _, letter := range box.await(t, 3) {
		if letter.ID != box.await(t, 1)[0].ID || letter.Failure.Reason != "no" {
			t.Errorf("letter %s with failure %+v, want the same letter each time", letter.ID, letter.Failure)
		}
	}
}

func withHeaders(p amqp.Publishing, headers amqp.Table) amqp.Publishing {
	p.Headers = headers
	return p
}

// The adapter refuses a message that the library can't write, before it breaks the
// connection.
func TestTooLongNames(t *testing.T) {
	topology := newTopology(t)
	queue := newDeadLetterQueue(t, brokerURL(t), topology)
	long := strings.Repeat("x", 256)
	for name, m := range map[string]ports.Message{
		"id":                 {ID: long},
		"content type":       {ContentType: long},
		"name of the header": {Headers: map[string]string{long: "value"}},
	} {
		err := queue.Replay(bounded(t, patience), ports.DeadLetter{ID: "l", Message: m})
		if err == nil || errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), "has 256 bytes") {
			t.Errorf("%s: error %.100v, want one with the length", name, err)
		}
	}
	if err := queue.Replay(bounded(t, patience), ports.DeadLetter{ID: "l"}); err != nil {
		t.Errorf("publish afterwards: %v", err)
	}
}
