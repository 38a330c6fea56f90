package wire

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"maps"
	"slices"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// NewID returns an id for a message that was sent without one, so that no two
// of them are taken for one dead letter.
func NewID() string { return "unnamed-" + rand.Text() }

// DeadLetter returns the message as a dead letter with that failure. A timestamp
// that can't be written as text is left out, as if the sender had said none.
func (m Message) DeadLetter(failure ports.Failure) ports.DeadLetter {
	if !domain.IsWritable(m.Timestamp) {
		m.Timestamp = time.Time{}
	}
	return ports.DeadLetter{
		ID:              m.DeadLetterID(),
		MessageID:       m.ID,
		ContentType:     m.ContentType,
		ContentEncoding: m.ContentEncoding,
		CorrelationID:   m.CorrelationID,
		ReplyTo:         m.ReplyTo,
		Type:            m.Type,
		AppID:           m.AppID,
		Timestamp:       m.Timestamp,
		Headers:         maps.Clone(m.Headers),
		Body:            bytes.Clone(m.Body),
		Failures:        []ports.Failure{failure},
	}
}

// FromDeadLetter returns the message that the letter was made of.
func FromDeadLetter(letter ports.DeadLetter) Message {
	return Message{
		ID:              letter.MessageID,
		ContentType:     letter.ContentType,
		ContentEncoding: letter.ContentEncoding,
		CorrelationID:   letter.CorrelationID,
		ReplyTo:         letter.ReplyTo,
		Type:            letter.Type,
		AppID:           letter.AppID,
		Timestamp:       letter.Timestamp,
		Headers:         maps.Clone(letter.Headers),
		Body:            bytes.Clone(letter.Body),
	}
}

// DeadLetterID returns the id of the message as a dead letter: the event's id, or for what is no event a digest of all
// that its sender said. Each part goes into it with its length, so that two
// messages can't say the same in other parts.
func (m Message) DeadLetterID() string {
	if event, err := Decode(m); err == nil {
		return string(event.ID)
	}
	digest := sha256.New()
	writePart(digest, []byte(m.ID))
	writePart(digest, []byte(m.ContentType))
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		writePart(digest, []byte(name))
		writePart(digest, []byte(m.Headers[name]))
	}
	writePart(digest, m.Body)
	// These came later: a message without them keeps its id. As one part they
	// make the number of parts even, which no message without them has.
	if properties := m.properties(); len(properties) > 0 {
		writePart(digest, properties)
	}
	return "unreadable-" + hex.EncodeToString(digest.Sum(nil)[:16])
}

// properties returns, for the digest, what the sender said beside the body and
// its type; empty: nothing.
func (m Message) properties() []byte {
	var said bytes.Buffer
	add := func(name, value string) {
		if value != "" {
			writePart(&said, []byte(name))
			writePart(&said, []byte(value))
		}
	}
	add("content-encoding", m.ContentEncoding)
	add("correlation-id", m.CorrelationID)
	add("reply-to", m.ReplyTo)
	add("type", m.Type)
	add("app-id", m.AppID)
	if !m.Timestamp.IsZero() {
		add("timestamp", m.Timestamp.UTC().Format(time.RFC3339Nano))
	}
	return said.Bytes()
}

// writePart writes the part behind its length. A digest and a buffer return no errors.
func writePart(w io.Writer, part []byte) {
	w.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
	w.Write(part)
}
