package rabbitmq

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/ports"
)

// deadLetter reads a delivery from the dead-letter queue. It is incomplete without a
// message id or the time of its failure: the next reading would make up others.
func (t Topology) deadLetter(d amqp.Delivery, now time.Time) (letter ports.DeadLetter, complete bool) {
	failure := t.failure(d)
	known := !failure.LastFailure.IsZero()
	if !known {
		at := now.UTC().Truncate(time.Millisecond)
		failure = ports.Failure{Reason: "put among the dead letters by somebody else", FirstFailure: at, LastFailure: at}
	}
	complete = known && d.MessageId != ""
	d.MessageId = cmp.Or(d.MessageId, wire.NewID())
	d.Headers = textHeaders(d.Headers)
	return wire.DeadLetter(wireMessage(republishing(d)), failure), complete
}

// letterID returns the id that the message has as a dead letter.
func letterID(p amqp.Publishing) string {
	p.Headers = textHeaders(p.Headers)
	return wire.DeadLetterID(wireMessage(p))
}

// failure returns why and when the message was set aside. It is zero if the message
// does not say.
func (t Topology) failure(d amqp.Delivery) ports.Failure {
	failure := writtenFailure(d.Headers)
	if death, ok := t.brokersDeath(d); ok {
		at, _ := death["time"].(time.Time)
		failure.LastFailure = at.UTC()
		reason, _ := death["reason"].(string)
		failure.Reason = fmt.Sprintf("set aside by the broker: %s", reason)
		if reason == "delivery_limit" {
			failure.Reason = fmt.Sprintf("set aside by the broker: %d times a consumer crashed or lost its connection with the message in hand",
				deliveryLimit+1)
			failure.Attempts += deliveryLimit + 1
		}
	}
	if first := failure.FirstFailure; first.IsZero() || first.After(failure.LastFailure) { // the broker's time is in seconds
		failure.FirstFailure = failure.LastFailure
	}
	return failure
}

// brokersDeath returns the entry of the header x-death that the broker added when it
// dead-lettered the message from the main queue. Messages that our consumers set
// aside have none.
func (t Topology) brokersDeath(d amqp.Delivery) (amqp.Table, bool) {
	deaths, _ := d.Headers["x-death"].([]any) // the latest first
	for _, entry := range deaths {
		if death, ok := entry.(amqp.Table); ok && death["queue"] == t.Queue {
			return death, true
		}
	}
	return nil, false
}

// textHeaders returns the sender's headers as text, shortened to fit into a frame.
func textHeaders(headers amqp.Table) amqp.Table {
	text := make(amqp.Table, len(headers))
	for name, value := range headers {
		if strings.HasPrefix(name, headerPrefix) {
			continue
		}
		switch v := value.(type) {
		case []byte:
			text[name] = string(v)
		case time.Time:
			text[name] = v.UTC().Format(time.RFC3339)
		default:
			text[name] = fmt.Sprint(v)
		}
	}
	text, _ = shorten(sendersHeaders(text), maxHeaders, 0)
	return text
}

// letterMessage returns the message of the letter with that id, for that queue.
// Both messages share one body.
func letterMessage(id string, m ports.Message, queue string) message {
	p := publishing(m)
	p.Headers = textHeaders(p.Headers)
	p.MessageId = cmp.Or(p.MessageId, id)
	return message{exchange: amqp.DefaultExchange, key: queue, Publishing: p}
}

// again returns a message for the dead-letter queue that deadLetter reads as the same
// letter.
func (t Topology) again(letter ports.DeadLetter) message {
	m := letterMessage(letter.ID, letter.Message, t.deadLetters())
	writeFailure(m.Headers, letter.Failure)
	return m
}
