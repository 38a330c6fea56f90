package domain

import (
	"strings"
	"time"
)

// EventID names an event, and is the same however often the event is
// published or handed over: the key by which a receiver tells a repeat.
type EventID string

// created ends the id of each event of the type OrderCreated, after the order's
// id.
const created = "-created"

// OrderID returns the id of the order that the event belongs to. It reports
// false if the id is not one that [Order.Created] makes.
func (id EventID) OrderID() (OrderID, bool) {
	order, ok := strings.CutSuffix(string(id), created)
	if !ok || !isUUID(order) {
		return "", false
	}
	return OrderID(order), true
}

// EventType says what happened, in the words of routing keys.
type EventType string

// OrderCreated is the type of the event that an order was placed.
const OrderCreated EventType = "order.created"

// Event is something that happened to an order, with the order as it was then.
type Event struct {
	ID    EventID
	Type  EventType
	Time  time.Time
	Order Order
}
