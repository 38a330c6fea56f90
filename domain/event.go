package domain

import "time"

// EventID names an event, and is the same however often the event is
// published or handed over: the key by which a receiver tells a repeat.
type EventID string

// OrderID returns the id of the order that the event belongs to, which an
// event's id begins with. It reports false if the id is no event's.
func (id EventID) OrderID() (OrderID, bool) {
	if len(id) <= uuidLength+1 || id[uuidLength] != '-' || checkUUID(string(id[:uuidLength])) != "" {
		return "", false
	}
	return OrderID(id[:uuidLength]), true
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
