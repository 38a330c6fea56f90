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
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// NewID returns an id for a message that was sent without one, so that each such
// message becomes a dead letter of its own.
func NewID() string { return "unnamed-" + rand.Text() }

// DeadLetter returns the message as a dead letter of the subscription, without a
// timestamp that RFC 3339 can't write. An empty name is the main queue's.
func DeadLetter(subscription string, m ports.Message, failure ports.Failure) ports.DeadLetter {
	m = m.Clone()
	if !domain.IsWritable(m.Timestamp) {
		m.Timestamp = time.Time{}
	}
	return ports.DeadLetter{ID: DeadLetterID(subscription, m), Subscription: subscription, Message: m, Failure: failure}
}

// DeadLetterID returns the id of the message as a dead letter of the subscription:
// the event's id, or a digest of all fields if the message is not an event. If the
// subscription has a name, a dot and the name follow. The id must stay the same in
// later versions, because stores keep it.
func DeadLetterID(subscription string, m ports.Message) string {
	id := messageID(m)
	if subscription != "" {
		id += "." + subscription
	}
	return id
}

func messageID(m ports.Message) string {
	if event, err := Decode(m); err == nil {
		return string(event.ID)
	}
	digest := sha256.New()
	writePart(digest, m.ID)
	writePart(digest, m.ContentType)
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		writePart(digest, name)
		writePart(digest, m.Headers[name])
	}
	writePart(digest, m.Body)
	// The first version did not know the other properties. A message without them
	// has an odd number of parts, so the one part for all of them is unambiguous.
	var timestamp string
	if !m.Timestamp.IsZero() {
		timestamp = m.Timestamp.UTC().Format(time.RFC3339Nano)
	}
	var properties bytes.Buffer
	for _, p := range [][2]string{
		{"content-encoding", m.ContentEncoding}, {"correlation-id", m.CorrelationID}, {"reply-to", m.ReplyTo},
		{"type", m.Type}, {"app-id", m.AppID}, {"timestamp", timestamp},
	} {
		if name, value := p[0], p[1]; value != "" {
			writePart(&properties, name)
			writePart(&properties, value)
		}
	}
	if properties.Len() > 0 {
		writePart(digest, properties.Bytes())
	}
	return ports.UnreadableID + hex.EncodeToString(digest.Sum(nil)[:16])
}

// writePart writes the part after its length, so that no two lists of parts give
// the same bytes. Digests and buffers return no errors.
func writePart[T string | []byte](w io.Writer, part T) {
	w.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
	w.Write([]byte(part))
}

// Describe returns what a dead letter's record says of its message: the type of the event
// and its user, each only as far as a record may have it.
func Describe(m ports.Message) (eventType, userID string) {
	eventType = m.Headers[HeaderType]
	if len(eventType) > ports.MaxEventType || strings.ContainsFunc(eventType, func(r rune) bool { return r == utf8.RuneError || !unicode.IsGraphic(r) }) {
		eventType = ""
	}
	if userID = namedUser(m); domain.CheckKnownUserID(userID) != nil {
		userID = ""
	}
	return eventType, userID
}
