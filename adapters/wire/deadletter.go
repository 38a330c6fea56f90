package wire

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"

	"example.com/orderflow/ports"
)

// NewID returns an id for a message that was sent without one, so that no two
// of them are taken for one dead letter.
func NewID() string { return "unnamed-" + rand.Text() }

// DeadLetter returns the message as a dead letter with that failure.
func (m Message) DeadLetter(failure ports.Failure) ports.DeadLetter {
	return ports.DeadLetter{
		ID:          m.deadLetterID(),
		MessageID:   m.ID,
		ContentType: m.ContentType,
		Headers:     maps.Clone(m.Headers),
		Body:        bytes.Clone(m.Body),
		Failures:    []ports.Failure{failure},
	}
}

// FromDeadLetter returns the message that the letter was made of.
func FromDeadLetter(letter ports.DeadLetter) Message {
	return Message{
		ID:          letter.MessageID,
		ContentType: letter.ContentType,
		Headers:     maps.Clone(letter.Headers),
		Body:        bytes.Clone(letter.Body),
	}
}

// deadLetterID returns the event's id, or for what is no event a digest of all
// that its sender said. Each part goes into it with its length, so that two
// messages can't say the same in other parts.
func (m Message) deadLetterID() string {
	if event, err := Decode(m); err == nil {
		return string(event.ID)
	}
	digest := sha256.New()
	add := func(part []byte) {
		digest.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		digest.Write(part)
	}
	add([]byte(m.ID))
	add([]byte(m.ContentType))
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		add([]byte(name))
		add([]byte(m.Headers[name]))
	}
	add(m.Body)
	return "unreadable-" + hex.EncodeToString(digest.Sum(nil)[:16])
}
