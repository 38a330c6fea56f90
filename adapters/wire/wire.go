// Package wire turns events into messages and back: one form for every broker.
//
// The body is the order as JSON, its first fields id, user_id, product and
// quantity. What belongs to the event travels beside it, as the attributes of
// CloudEvents 1.0 (https://github.com/cloudevents/spec) in headers that begin
// with "ce-". A receiver that knows only the body can read every message; one
// that knows CloudEvents can tell what happened, when, and whether it has seen
// it before.
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
	HeaderID          = "ce-id"
	HeaderSource      = "ce-source"
	HeaderSpecVersion = "ce-specversion"
	HeaderSubject     = "ce-subject" // the order's id
	HeaderTime        = "ce-time"
	HeaderType        = "ce-type"
)

// TimeFormat is that of every time in a message: RFC 3339 with milliseconds.
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

// Encode returns the event's message. It refuses an event that has no wire form:
// one of another type than order.created, or whose id or time can't be its own.
// Of the order it checks only the time, for what a store has kept must go out.
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
	return ports.Message{
		ID:          string(event.ID),
		ContentType: ContentType,
		Timestamp:   event.Time,
		Headers: map[string]string{
			HeaderID:          string(event.ID),
			HeaderSource:      source,
			HeaderSpecVersion: specVersion,
			HeaderSubject:     string(o.ID),
			HeaderTime:        event.Time.UTC().Format(TimeFormat),
			HeaderType:        string(event.Type),
		},
		Body: data,
	}, nil
}

// check returns an error if Decode would not accept the event, be its order as
// it may.
func check(event domain.Event) error {
	if event.Type != domain.OrderCreated {
		return fmt.Errorf("there is no such type of event; the only one is %q", domain.OrderCreated)
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

// Decode returns the event of a message that [Encode] made, here or in a later
// version: it passes over headers and fields that it does not know, and accepts
// nothing that breaks the domain's rules. It needs only headers and body.
func Decode(m ports.Message) (domain.Event, error) {
	event, err := decode(m)
	if err != nil {
		return domain.Event{}, fmt.Errorf("decode event: %w", err)
	}
	return event, nil
}

func decode(m ports.Message) (domain.Event, error) {
	if v := m.Headers[HeaderSpecVersion]; v != specVersion {
		return domain.Event{}, fmt.Errorf("header %s is %q, want %q", HeaderSpecVersion, v, specVersion)
	}
	if v := m.Headers[HeaderType]; v != string(domain.OrderCreated) {
		return domain.Event{}, fmt.Errorf("header %s is %q, which is no type of event", HeaderType, v)
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
		return domain.Event{}, fmt.Errorf("header %s is %q, no event of order %s", HeaderID, id, order.ID)
	}
	if at.IsZero() {
		return domain.Event{}, errors.New("header " + HeaderTime + " is the zero time")
	}
	if !domain.IsWritable(at) {
		return domain.Event{}, errors.New("header " + HeaderTime + " is not in the years 1 to 9999, in UTC")
	}
	return domain.Event{
		ID: id, Type: domain.OrderCreated, Time: domain.TruncateTime(at), Order: order,
	}, nil
}
