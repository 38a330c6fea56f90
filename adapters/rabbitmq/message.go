package rabbitmq

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Headers that count and explain a message's failures. Times are in
// [wire.TimeFormat]; earlier versions wrote them without milliseconds.
const (
	headerAttempts     = "orderflow-attempts"
	headerFirstFailure = "orderflow-first-failure"
	headerLastFailure  = "orderflow-last-failure"
	headerReason       = "orderflow-reason"       // of the last failure
	headerSubscription = "orderflow-subscription" // from whose queue the message was set aside; missing: the main queue

	headerPrefix = "orderflow-" // of all of them
)

const (
	maxReason   = 1 << 10   // bytes
	maxAttempts = 1_000_000 // another program wrote a larger count
)

// All properties of a message have to fit into one frame: a longer frame breaks
// the connection.
const (
	maxHeaders    = 64 << 10
	maxShort      = 255        // bytes in a property or a header's name
	frameOverhead = 8 + 14 + 9 // the frame's own, the properties' header, the properties of a fixed size

	// The broker adds headers before it delivers: x-death, which grows with each
	// queue that the message has waited in, x-first-death-*, x-last-death-* and
	// its counts. If they make the frame too long, they break the consumer's
	// connection.
	brokersReserve = 2 << 10
)

// message is a message to publish.
type message struct {
	exchange, key string
	amqp.Publishing
	invalid error // why the message can't be sent, or nil
}

func eventMessage(exchange string, event domain.Event) message {
	m, err := wire.Encode(event)
	return message{exchange, string(event.Type), publishing(m), err}
}

// publishing returns the message as RabbitMQ carries it.
func publishing(m ports.Message) amqp.Publishing {
	headers := make(amqp.Table, len(m.Headers))
	for name, value := range m.Headers {
		headers[name] = value
	}
	return amqp.Publishing{
		Headers:         headers,
		ContentType:     m.ContentType,
		ContentEncoding: m.ContentEncoding,
		DeliveryMode:    amqp.Persistent,
		CorrelationId:   m.CorrelationID,
		ReplyTo:         m.ReplyTo,
		MessageId:       m.ID,
		Timestamp:       m.Timestamp,
		Type:            m.Type,
		AppId:           m.AppID,
		Body:            m.Body,
	}
}

// republishing returns a delivery as a message to publish. It leaves out the
// sender's expiration (the message would vanish), user (only that user may set it)
// and priority (the message would overtake others).
func republishing(d amqp.Delivery) amqp.Publishing {
	return amqp.Publishing{
		Headers:         d.Headers,
		ContentType:     d.ContentType,
		ContentEncoding: d.ContentEncoding,
		DeliveryMode:    amqp.Persistent,
		CorrelationId:   d.CorrelationId,
		ReplyTo:         d.ReplyTo,
		MessageId:       d.MessageId,
		Timestamp:       d.Timestamp,
		Type:            d.Type,
		AppId:           d.AppId,
		Body:            d.Body,
	}
}

// wireMessage returns the message with only those headers that are text.
func wireMessage(p amqp.Publishing) ports.Message {
	headers := make(map[string]string, len(p.Headers))
	for name, value := range p.Headers {
		if text, ok := value.(string); ok {
			headers[name] = text
		}
	}
	return ports.Message{
		ID:              p.MessageId,
		ContentType:     p.ContentType,
		ContentEncoding: p.ContentEncoding,
		CorrelationID:   p.CorrelationId,
		ReplyTo:         p.ReplyTo,
		Type:            p.Type,
		AppID:           p.AppId,
		Timestamp:       p.Timestamp.UTC(),
		Headers:         headers,
		Body:            p.Body,
	}
}

// failedAttempts returns how many attempts have failed.
func failedAttempts(headers amqp.Table) int {
	text, _ := headers[headerAttempts].(string)
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxAttempts {
		return 0 // not our header
	}
	return n
}

// writtenFailure returns the failure in the headers. Fields that the headers don't
// have are zero.
func writtenFailure(headers amqp.Table) ports.Failure {
	at := func(header string) time.Time {
		text, _ := headers[header].(string)
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || !domain.IsWritable(at) {
			return time.Time{}
		}
		return domain.TruncateTime(at)
	}
	reason, _ := headers[headerReason].(string)
	return ports.Failure{
		Reason: reason, Attempts: failedAttempts(headers), FirstFailure: at(headerFirstFailure), LastFailure: at(headerLastFailure),
	}
}

// writeFailure writes the failure of a message of the subscription.
func writeFailure(headers amqp.Table, subscription string, failure ports.Failure) {
	delete(headers, headerSubscription)
	if subscription != "" {
		headers[headerSubscription] = subscription
	}
	headers[headerAttempts] = strconv.Itoa(failure.Attempts)
	headers[headerReason] = bounded(failure.Reason)
	headers[headerFirstFailure] = failure.FirstFailure.UTC().Format(wire.TimeFormat)
	headers[headerLastFailure] = failure.LastFailure.UTC().Format(wire.TimeFormat)
}

// bounded returns the text as valid UTF-8 of at most maxReason bytes.
func bounded(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= maxReason {
		return text
	}
	const more = "…"
	return strings.ToValidUTF8(text[:maxReason-len(more)], "") + more
}

// sendersHeaders returns the headers without the broker's, which it would count for
// a new message, and without those that address copies.
func sendersHeaders(headers amqp.Table) amqp.Table {
	own := make(amqp.Table, len(headers)+4)
	for name, value := range headers {
		brokers := name == "CC" || name == "BCC" || name == "x-death" ||
			name == "x-delivery-count" || name == "x-acquired-count" ||
			strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
		if !brokers {
			own[name] = value
		}
	}
	return own
}

// fit returns the message with as many headers as fit into a frame of that size,
// together with the other properties and the broker's headers. It also returns the
// names of the headers that it left out. A size of 0 means no limit.
func fit(p amqp.Publishing, frameSize int) (fitted amqp.Publishing, leftOut []string) {
	limit, reserve := maxHeaders, 0
	if frameSize > 0 {
		limit, reserve = frameSize-frameOverhead, brokersReserve
		for _, text := range shortTexts(p) {
			limit -= 1 + len(text)
		}
		limit = min(limit, maxHeaders+reserve)
	}
	p.Headers, leftOut = shorten(p.Headers, limit, reserve)
	return p, leftOut
}

// shorten leaves out headers until the others have at most limit bytes, the
// longest first: a sender's, then an event's, then ours. Only the last two kinds
// may use the reserve.
func shorten(headers amqp.Table, limit, reserve int) (shortened amqp.Table, leftOut []string) {
	size := encodedSize(headers)
	if size <= limit-reserve {
		return headers, nil
	}
	sizes := make(map[string]int, len(headers))
	for name, value := range headers {
		sizes[name] = entrySize(name, value)
	}
	names := slices.SortedFunc(maps.Keys(headers), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b))
	})
	headers = maps.Clone(headers)
	for _, name := range names {
		if rank(name) > 0 {
			reserve = 0
		}
		if size <= limit-reserve {
			break
		}
		delete(headers, name)
		leftOut = append(leftOut, name)
		size -= sizes[name]
	}
	return headers, leftOut
}

// rank returns how important a header is.
func rank(name string) int {
	switch name {
	case headerAttempts, headerReason, headerFirstFailure, headerLastFailure, headerSubscription:
		return 2
	case wire.HeaderDataSchema, wire.HeaderID, wire.HeaderSource, wire.HeaderSpecVersion, wire.HeaderSubject, wire.HeaderTime, wire.HeaderType:
		return 1
	default:
		return 0
	}
}

// entrySize returns the size of a header in a frame.
func entrySize(name string, value any) int { return 1 + len(name) + encodedSize(value) }

// encodedSize returns the most bytes that a header's value takes in a frame.
func encodedSize(value any) int {
	size := 9 // the largest value of a fixed size
	switch v := value.(type) {
	case string:
		size += len(v)
	case []byte:
		size += len(v)
	case []any:
		for _, element := range v {
			size += encodedSize(element)
		}
	case amqp.Table:
		for name, field := range v {
			size += entrySize(name, field)
		}
	}
	return size
}

func shortTexts(p amqp.Publishing) []string {
	return []string{p.ContentType, p.ContentEncoding, p.CorrelationId, p.ReplyTo, p.Expiration, p.MessageId, p.Type, p.UserId, p.AppId}
}

// check returns an error if the library can't write the message. The library itself
// would notice it only after it has written a part, which breaks the connection.
func (m message) check() error {
	if m.invalid != nil {
		return m.invalid
	}
	for _, text := range slices.AppendSeq(shortTexts(m.Publishing), maps.Keys(m.Headers)) {
		if len(text) > maxShort {
			return fmt.Errorf("%.40q… has %d bytes; an id, a property or the name of a header has at most %d", text, len(text), maxShort)
		}
	}
	return nil
}
