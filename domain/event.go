package domain

import (
	"strings"
	"time"
)

// EventID identifies an event. Every publication and delivery of an event has the
// same id, so a receiver recognises repeats by it.
type EventID string

// created is the suffix of an OrderCreated event's id, after the order's id.
const created = "-created"

// OrderID returns the id of the event's order. It reports false if
// [Order.Created] can't have made the event's id.
func (id EventID) OrderID() (OrderID, bool) {
	order, ok := strings.CutSuffix(string(id), created)
	if !ok || !isUUID(order) {
		return "", false
	}
	return OrderID(order), true
}

// EventType says what happened. It is the event's routing key, too.
type EventType string

// OrderCreated is the type of [Order.Created]'s events.
const OrderCreated EventType = "order.created"

// Event is something that happened to an order, and the order at that time.
type Event struct {
	ID     EventID
	Type   EventType
	Time   time.Time
	Order  Order
	Origin Origin // zero: unknown
}
