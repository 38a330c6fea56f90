// Package wire encodes events as messages, and decodes them: one form for every
// broker.
//
// The body is the order as JSON, beginning with id, user_id, product and quantity.
// The headers that begin with "ce-" are the event's attributes by CloudEvents 1.0
// (https://github.com/cloudevents/spec): its type, time, and the id by which a
// receiver recognises a repeat. A receiver that needs none of these can read the body
// alone.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// ContentType is the type of every body.
const ContentType = "application/json"

// Headers of a message.
const (
	HeaderDataSchema  = "ce-dataschema" // the body's schema, with its version
	HeaderID          = "ce-id"
	HeaderSource      = "ce-source"
	HeaderSpecVersion = "ce-specversion"
	HeaderSubject     = "ce-subject" // the order's id
	HeaderTime        = "ce-time"
	HeaderType        = "ce-type"

	// The event's origin, each only if it is known. The trace is by CloudEvents'
	// distributed tracing extension.
	HeaderRequestID   = "ce-requestid"
	HeaderTraceParent = "ce-traceparent"
	HeaderTraceState  = "ce-tracestate"
)

// TimeFormat is the format of all times in a message: RFC 3339 with milliseconds.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

const (
	source      = "/orderflow/orders"
	specVersion = "1.0"
)

type body struct {
	ID        domain.OrderID `json:"id"`
	UserID    string         `json:"user_id"`
	Product   string         `json:"product"`
	Quantity  int            `json:"quantity"`
	CreatedAt string         `json:"created_at"`
}

// Encode returns the event's message. It refuses an event of another type than
// order.created, or with a wrong id or time. Of the order it checks only the time,
// because every stored order must be published.
func Encode(event domain.Event) (ports.Message, error) {
	if err := check(event); err != nil {
		return ports.Message{}, fmt.Errorf("encode event %.100q of type %.100q: %w", event.ID, event.Type, err)
	}
	o := event.Order
	data, err := json.Marshal(body{
		ID: o.ID, UserID: o.UserID, Product: o.Product, Quantity: o.Quantity,
		CreatedAt: o.CreatedAt.UTC().Format(TimeFormat),
	})
	if err != nil {
		return ports.Message{}, fmt.Errorf("encode event %q of type %q: %w", event.ID, event.Type, err)
	}
	m := ports.Message{
		ID:          string(event.ID),
		ContentType: ContentType,
		Timestamp:   event.Time,
		Headers: map[string]string{
			HeaderDataSchema:  orderCreatedSchema,
			HeaderID:          string(event.ID),
			HeaderSource:      source,
			HeaderSpecVersion: specVersion,
			HeaderSubject:     string(o.ID),
			HeaderTime:        event.Time.UTC().Format(TimeFormat),
			HeaderType:        string(event.Type),
		},
		Body: data,
	}
	origin := event.Origin.Valid()
	for _, h := range [...]struct{ name, value string }{
		{HeaderRequestID, origin.RequestID}, {HeaderTraceParent, origin.TraceParent}, {HeaderTraceState, origin.TraceState},
	} {
		if h.value != "" {
			m.Headers[h.name] = h.value
		}
	}
	return m, nil
}

// check returns an error if Decode would refuse the event because of its type, id or
// times.
func check(event domain.Event) error {
	if event.Type != domain.OrderCreated {
		return fmt.Errorf("unknown type of event; the only one is %q", domain.OrderCreated)
	}
	if of, ok := event.ID.OrderID(); !ok || of != event.Order.ID {
		return fmt.Errorf("its id does not belong to its order %.100q", event.Order.ID)
	}
	if event.Time.IsZero() {
		return errors.New("it has no time")
	}
	if !domain.IsWritable(event.Time) || !domain.IsWritable(event.Order.CreatedAt) {
		return errors.New("its time, or its order's, is not in the years 1 to 9999")
	}
	return nil
}

// Decode returns the event of a message from [Encode] in this, an earlier or a later
// version. It ignores unknown headers and fields, and fields of the origin that break a
// rule. It refuses a schema of another major version, and an order that breaks the domain's
// rules. It reads only headers and body.
func Decode(m ports.Message) (domain.Event, error) {
	event, err := decode(m)
	if err != nil {
		return domain.Event{}, fmt.Errorf("decode event: %w", err)
	}
	return event, nil
}

// IsAbout reports whether the message's body names the user, also if it is no event
// that [Decode] can read.
func IsAbout(m ports.Message, userID string) bool { return userID != "" && namedUser(m) == userID }

func namedUser(m ports.Message) string {
	var named struct {
		UserID string `json:"user_id"`
	}
	if json.Unmarshal(m.Body, &named) != nil {
		return ""
	}
	return named.UserID
}

func decode(m ports.Message) (domain.Event, error) {
	if v := m.Headers[HeaderSpecVersion]; v != specVersion {
		return domain.Event{}, fmt.Errorf("header %s is %q, want %q", HeaderSpecVersion, v, specVersion)
	}
	if v := m.Headers[HeaderType]; v != string(domain.OrderCreated) {
		return domain.Event{}, fmt.Errorf("header %s is %q, which is not a type of event", HeaderType, v)
	}
	if err := checkSchema(m.Headers); err != nil {
		return domain.Event{}, err
	}
	at, err := time.Parse(time.RFC3339, m.Headers[HeaderTime])
	if err != nil {
		return domain.Event{}, fmt.Errorf("header %s: %w", HeaderTime, err)
	}
	var b body
	if err := json.Unmarshal(m.Body, &b); err != nil {
		return domain.Event{}, fmt.Errorf("body: %w", err)
	}
	createdAt, err := time.Parse(time.RFC3339, b.CreatedAt)
	if err != nil {
		return domain.Event{}, fmt.Errorf("body: created_at: %w", err)
	}
	order, err := domain.KnownOrder(b.ID, b.UserID, b.Product, b.Quantity, createdAt)
	if err != nil {
		return domain.Event{}, fmt.Errorf("body: %w", err)
	}
	id := domain.EventID(m.Headers[HeaderID])
	if of, ok := id.OrderID(); !ok || of != order.ID {
		return domain.Event{}, fmt.Errorf("header %s is %q, which is not an event of order %s", HeaderID, id, order.ID)
	}
	if at.IsZero() {
		return domain.Event{}, errors.New("header " + HeaderTime + " is the zero time")
	}
	if !domain.IsWritable(at) {
		return domain.Event{}, errors.New("header " + HeaderTime + " is not in the years 1 to 9999, in UTC")
	}
	origin := domain.Origin{RequestID: m.Headers[HeaderRequestID], TraceParent: m.Headers[HeaderTraceParent], TraceState: m.Headers[HeaderTraceState]}
	return domain.Event{
		ID: id, Type: domain.OrderCreated, Time: domain.TruncateTime(at), Order: order, Origin: origin.Valid(),
	}, nil
}
