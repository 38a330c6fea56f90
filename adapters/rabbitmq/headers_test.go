package rabbitmq_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/ports"
)

// Whatever is published fits into the frames of its connection: a broker, or
// what stands before it, may allow smaller ones than the sender had.
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
			send := func(queue string) {
				t.Helper()
				if err := openChannel(t).PublishWithContext(t.Context(), amqp.DefaultExchange, queue, true, false, message); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "it consumes", func() bool { return consumer.Ping(bounded(t, patience)) == nil })
			send(topology.Queue)
			dead := awaitDeadLetter(t, topology)
			if dead.Headers["orderflow-attempts"] != "1" || dead.Headers["orderflow-reason"] == nil || dead.CorrelationId != message.CorrelationId {
				t.Errorf("set aside with headers %.300v and correlation id %.10s…", dead.Headers, dead.CorrelationId)
			}
			stop()

			send(deadLetters(topology)) // by somebody else: it has to be completed
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
				t.Errorf("%d messages can't be read any more", n)
			}
			letter.Headers = map[string]string{"x-long": strings.Repeat("x", frame)}
			if err := queue.Replay(bounded(t, patience), letter); err != nil {
				t.Error(err)
			}
		})
	}
}

func withHeaders(p amqp.Publishing, headers amqp.Table) amqp.Publishing {
	p.Headers = headers
	return p
}

// What the library can't write is refused before it breaks the connection.
func TestTooLongAName(t *testing.T) {
	topology := newTopology(t)
	queue := newDeadLetterQueue(t, brokerURL(t), topology)
	long := strings.Repeat("x", 256)
	for name, letter := range map[string]ports.DeadLetter{
		"id":                 {ID: long},
		"content type":       {ID: "l", ContentType: long},
		"name of the header": {ID: "l", Headers: map[string]string{long: "value"}},
	} {
		err := queue.Replay(bounded(t, patience), letter)
		if err == nil || errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), "has 256 bytes") {
			t.Errorf("%s: error %.100v, want one that says what is too long", name, err)
		}
	}
	if err := queue.Replay(bounded(t, patience), ports.DeadLetter{ID: "l"}); err != nil {
		t.Errorf("after that: %v", err)
	}
}
