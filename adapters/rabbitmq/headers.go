package rabbitmq

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/wire"
)

// All that is said of a message has to fit into one frame: one that is too long
// breaks the connection.
const (
	maxHeaders    = 64 << 10
	maxShort      = 255        // of a property or a header's name
	frameOverhead = 8 + 14 + 9 // of the frame, of what comes before the properties, of those of a fixed size
)

// ownHeaders returns the headers without those that the broker puts on, by
// which it would judge the new message; those that address copies of it; and
// the longest, should all of them be too long.
func ownHeaders(headers amqp.Table) amqp.Table {
	own := make(amqp.Table, len(headers)+4)
	for name, value := range headers {
		brokers := name == "CC" || name == "BCC" || name == "x-death" ||
			name == "x-delivery-count" || name == "x-acquired-count" ||
			strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
		if !brokers {
			own[name] = value
		}
	}
	return shorten(own, maxHeaders)
}

// fit returns the message with as many of its headers as one frame of that size
// has room for, beside the other properties; 0: a frame has no bound.
func fit(p amqp.Publishing, frameSize int) amqp.Publishing {
	limit := maxHeaders
	if frameSize > 0 {
		limit = frameSize - frameOverhead
		for _, text := range shortTexts(p) {
			limit -= 1 + len(text)
		}
	}
	p.Headers = shorten(p.Headers, min(limit, maxHeaders))
	return p
}

// shorten returns the headers without the longest, should all of them be longer
// than limit. An event's go after the others, and ours last.
func shorten(headers amqp.Table, limit int) amqp.Table {
	size := encodedSize(headers)
	if size <= limit {
		return headers
	}
	sizes := make(map[string]int, len(headers))
	for name, value := range headers {
		sizes[name] = entrySize(name, value)
	}
	toGo := slices.SortedFunc(maps.Keys(headers), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b))
	})
	headers = maps.Clone(headers)
	for _, name := range toGo {
		if size <= limit {
			break
		}
		delete(headers, name)
		size -= sizes[name]
	}
	return headers
}

// rank returns how much a header matters.
func rank(name string) int {
	switch name {
	case headerAttempts, headerReason, headerFirstFailure, headerLastFailure: // by which attempts are counted
		return 2
	case wire.HeaderID, wire.HeaderSource, wire.HeaderSpecVersion, wire.HeaderSubject, wire.HeaderTime, wire.HeaderType:
		return 1
	default:
		return 0
	}
}

// entrySize returns how many bytes a header takes.
func entrySize(name string, value any) int { return 1 + len(name) + encodedSize(value) }

// encodedSize returns how many bytes a header's value takes in a frame at
// most.
func encodedSize(value any) int {
	size := 9 // the largest of a fixed size
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

// checkShort returns an error if the library can't write the message: it would
// find out when a part of it is written, and the connection is broken then.
func (m message) checkShort() error {
	texts := append(shortTexts(m.Publishing), m.exchange, m.key)
	texts = slices.AppendSeq(texts, maps.Keys(m.Headers))
	for _, text := range texts {
		if len(text) > maxShort {
			return fmt.Errorf("%.40q… has %d bytes; an id, a property or the name of a header has at most %d", text, len(text), maxShort)
		}
	}
	return nil
}
