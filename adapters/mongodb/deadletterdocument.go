package mongodb

import (
	"maps"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// maxMessage bounds a message in its document, which MongoDB limits to 16 MiB.
// The rest is for the failures.
const maxMessage = 15 << 20 // bytes

// headerDocument stores the name as a value, because MongoDB would read some
// names of fields as paths or operators.
type headerDocument struct {
	Name  string `bson:"name"`
	Value string `bson:"value"`
}

type failureDocument struct {
	Reason       string    `bson:"reason"`
	Attempts     int       `bson:"attempts"`
	FirstFailure time.Time `bson:"first_failure"`
	LastFailure  time.Time `bson:"last_failure"`
}

// text is a field of text.
type text struct {
	name  string
	value *string
}

// optionalTexts returns the fields that a document has only where its message has
// them. The first version did not write them.
func optionalTexts(m *ports.Message) []text {
	return []text{
		{"content_encoding", &m.ContentEncoding}, {"correlation_id", &m.CorrelationID}, {"reply_to", &m.ReplyTo},
		{"type", &m.Type}, {"app_id", &m.AppID},
	}
}

// messageDocument returns the fields that a record keeps as they were first put.
func messageDocument(letter ports.DeadLetter) bson.D {
	m := letter.Message
	headers := []headerDocument{}
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		headers = append(headers, headerDocument{name, m.Headers[name]})
	}
	document := bson.D{
		{Key: "message_id", Value: m.ID},
		{Key: "content_type", Value: m.ContentType},
		{Key: "headers", Value: headers},
		{Key: "body", Value: bson.Binary{Data: m.Body}},
		{Key: "since", Value: letter.Failure.FirstFailure},
	}
	for _, t := range optionalTexts(&m) {
		if *t.value != "" {
			document = append(document, bson.E{Key: t.name, Value: *t.value})
		}
	}
	document = append(document, describedFields(letter.Message)...)
	if letter.Subscription != "" {
		document = append(document, bson.E{Key: "subscription", Value: letter.Subscription})
	}
	if !m.Timestamp.IsZero() {
		document = append(document, bson.E{Key: "timestamp", Value: m.Timestamp})
	}
	return document
}

// describedFields returns what is known of the message's event. The first versions did not
// write these fields.
func describedFields(m ports.Message) (known bson.D) {
	eventType, userID := wire.Describe(m)
	if eventType != "" {
		known = append(known, bson.E{Key: "event_type", Value: eventType})
	}
	if userID != "" {
		known = append(known, bson.E{Key: "user_id", Value: userID})
	}
	return known
}

// readRecord reads a whole document.
func readRecord(document bson.Raw) (ports.DeadLetterRecord, error) {
	record, err := readListedRecord(document)
	if err != nil {
		return record, err
	}
	r := &reader{doc: document}
	m := &record.Message
	m.ContentType = field(r, "content_type", bson.RawValue.StringValueOK)
	for _, t := range optionalTexts(m) {
		*t.value = optional(r, t.name, bson.RawValue.StringValueOK)
	}
	m.Timestamp = optional(r, "timestamp", bson.RawValue.TimeOK).UTC()
	if !domain.IsWritable(m.Timestamp) { // it is the sender's, so the record stays readable
		m.Timestamp = time.Time{}
	}
	m.Body = field(r, "body", binary)
	m.Headers = map[string]string{}
	for _, h := range elements(r, "headers", readHeader) {
		m.Headers[h.Name] = h.Value
	}
	if r.err != nil {
		return ports.DeadLetterRecord{}, unreadable(document, r.err)
	}
	return record, nil
}

// listedFields are the fields that readListedRecord reads.
var listedFields = bson.M{"message_id": 1, "subscription": 1, "failures": 1, "state": 1, "since": 1, "settled_at": 1, "settled_by": 1, "event_type": 1, "user_id": 1}

// readListedRecord reads a document as List returns it.
func readListedRecord(document bson.Raw) (ports.DeadLetterRecord, error) {
	r := &reader{doc: document}
	record := ports.DeadLetterRecord{
		ID:           field(r, "_id", bson.RawValue.StringValueOK),
		Subscription: optional(r, "subscription", bson.RawValue.StringValueOK),
		Message:      ports.Message{ID: field(r, "message_id", bson.RawValue.StringValueOK)},
		Failures:     elements(r, "failures", readFailure),
		State:        ports.DeadLetterState(field(r, "state", bson.RawValue.StringValueOK)),
		EventType:    optional(r, "event_type", bson.RawValue.StringValueOK),
		UserID:       optional(r, "user_id", bson.RawValue.StringValueOK),
		Since:        date(r, "since"),
	}
	if len(record.Failures) == 0 {
		r.fail("failures", "is empty")
	}
	if r.err == nil && record.State != ports.Waiting {
		record.SettledAt = date(r, "settled_at")
		record.SettledBy = optional(r, "settled_by", bson.RawValue.StringValueOK)
	}
	if r.err != nil {
		return ports.DeadLetterRecord{}, unreadable(document, r.err)
	}
	return record, nil
}

func readFailure(r *reader) ports.Failure {
	return ports.Failure{
		Reason:       field(r, "reason", bson.RawValue.StringValueOK),
		Attempts:     field(r, "attempts", integer),
		FirstFailure: date(r, "first_failure"),
		LastFailure:  date(r, "last_failure"),
	}
}

func readHeader(r *reader) headerDocument {
	return headerDocument{
		Name:  field(r, "name", bson.RawValue.StringValueOK),
		Value: field(r, "value", bson.RawValue.StringValueOK),
	}
}

func binary(value bson.RawValue) ([]byte, bool) {
	_, data, ok := value.BinaryOK()
	return slices.Clone(data), ok
}
