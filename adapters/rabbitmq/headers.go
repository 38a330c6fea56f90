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

	// The broker adds headers on the way back: x-death, which grows with each
	// queue that the message has waited in, x-first-death-*, x-last-death-* and
	// its counts. A frame that they make too long breaks the consumer's connection.
	brokersReserve = 2 << 10
)

// ownHeaders returns the headers without those that the broker puts on, by
// which it would judge the new message, and those that address copies of it.
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
	return own
}

// fit returns the message with as many of its headers as one frame of that size
// has room for, beside the other properties and what the broker adds, and the
// names of those left out; 0: a frame has no bound.
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

// shorten leaves out the longest headers until the others are no longer than
// limit. An event's go after the others, and ours last; these two kinds may use
// the reserve.
func shorten(headers amqp.Table, limit, reserve int) (shortened amqp.Table, leftOut []string) {
	size := encodedSize(headers)
	if size <= limit-reserve {
		return headers, nil
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
	texts := shortTexts(m.Publishing)
	texts = slices.AppendSeq(texts, maps.Keys(m.Headers))
	for _, text := range texts {
		if len(text) > maxShort {
			return fmt.Errorf("%.40q… has %d bytes; an id, a property or the name of a header has at most %d", text, len(text), maxShort)
		}
	}
	return nil
}
