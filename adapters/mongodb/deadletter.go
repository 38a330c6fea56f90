package mongodb

import (
	"maps"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// maxMessage is how large a letter's message may be, in its document: MongoDB
// lets one become 16 MiB, and every failure that it will have takes its part.
const maxMessage = 15 << 20

// messageDocument is the part of a dead letter's document that stays as it was
// first put.
type messageDocument struct {
	MessageID   string           `bson:"message_id"`
	ContentType string           `bson:"content_type"`
	Headers     []headerDocument `bson:"headers"`
	Body        bson.Binary      `bson:"body"`
	Since       time.Time        `bson:"since"`

	// Kept only where the sender said them; earlier versions never did.
	ContentEncoding string    `bson:"content_encoding,omitempty"`
	CorrelationID   string    `bson:"correlation_id,omitempty"`
	ReplyTo         string    `bson:"reply_to,omitempty"`
	Type            string    `bson:"type,omitempty"`
	AppID           string    `bson:"app_id,omitempty"`
	Timestamp       time.Time `bson:"timestamp,omitempty"`
}

// headerDocument keeps the name as a value: as a field's name it could be read
// as a path or an operator.
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

func messageOf(letter ports.DeadLetter) messageDocument {
	headers := []headerDocument{}
	for _, name := range slices.Sorted(maps.Keys(letter.Headers)) {
		headers = append(headers, headerDocument{name, letter.Headers[name]})
	}
	return messageDocument{
		MessageID:       letter.MessageID,
		ContentType:     letter.ContentType,
		ContentEncoding: letter.ContentEncoding,
		CorrelationID:   letter.CorrelationID,
		ReplyTo:         letter.ReplyTo,
		Type:            letter.Type,
		AppID:           letter.AppID,
		Timestamp:       letter.Timestamp,
		Headers:         headers,
		Body:            bson.Binary{Data: letter.Body},
		Since:           letter.Failures[0].FirstFailure,
	}
}

// readLetter reads a dead letter, whole or as List has it.
func readLetter(document bson.Raw, whole bool) (ports.DeadLetter, error) {
	r := &reader{doc: document}
	letter := ports.DeadLetter{
		ID:        field(r, "_id", bson.RawValue.StringValueOK),
		MessageID: field(r, "message_id", bson.RawValue.StringValueOK),
		Failures:  elements(r, "failures", readFailure),
		State:     ports.DeadLetterState(field(r, "state", bson.RawValue.StringValueOK)),
		Since:     date(r, "since"),
	}
	if len(letter.Failures) == 0 {
		r.fail("failures", "is empty")
	}
	if r.err == nil && letter.State != ports.Waiting {
		letter.SettledAt = date(r, "settled_at")
		letter.SettledBy = optional(r, "settled_by", bson.RawValue.StringValueOK)
	}
	if whole {
		letter.ContentType = field(r, "content_type", bson.RawValue.StringValueOK)
		letter.ContentEncoding = optional(r, "content_encoding", bson.RawValue.StringValueOK)
		letter.CorrelationID = optional(r, "correlation_id", bson.RawValue.StringValueOK)
		letter.ReplyTo = optional(r, "reply_to", bson.RawValue.StringValueOK)
		letter.Type = optional(r, "type", bson.RawValue.StringValueOK)
		letter.AppID = optional(r, "app_id", bson.RawValue.StringValueOK)
		letter.Timestamp = optional(r, "timestamp", bson.RawValue.TimeOK).UTC()
		if !domain.IsWritable(letter.Timestamp) { // its sender's to say, and nobody's to read
			letter.Timestamp = time.Time{}
		}
		letter.Body = field(r, "body", binary)
		letter.Headers = map[string]string{}
		for _, h := range elements(r, "headers", readHeader) {
			letter.Headers[h.Name] = h.Value
		}
	}
	if r.err != nil {
		return ports.DeadLetter{}, unreadable(document, r.err)
	}
	return letter, nil
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

// optional is [field] of one that may be missing.
func optional[T any](r *reader, name string, as func(bson.RawValue) (T, bool)) T {
	if _, err := r.doc.LookupErr(name); err != nil {
		var none T
		return none
	}
	return field(r, name, as)
}

// elements reads each document of the array in the named field.
func elements[T any](r *reader, name string, read func(*reader) T) []T {
	array := field(r, name, bson.RawValue.ArrayOK)
	if r.err != nil {
		return nil
	}
	values, err := array.Values()
	if err != nil {
		r.fail(name, "is damaged")
	}
	var list []T
	for _, value := range values {
		doc, ok := value.DocumentOK()
		if !ok {
			r.fail(name, "has an element of type "+value.Type.String())
		}
		element := &reader{doc: doc, within: name + ".", err: r.err}
		list = append(list, read(element))
		r.err = element.err
	}
	return list
}
