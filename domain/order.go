package domain

import (
	"strings"
	"time"
)

// What an order may hold. Lengths count Unicode characters.
const (
	MaxUserID   = 128
	MaxProduct  = 256
	MaxQuantity = 1_000_000
)

// OrderID names an order: a UUID (RFC 9562) in lower case with hyphens.
type OrderID string

// ParseOrderID returns s as an OrderID, in lower case: the same UUID may be
// written in upper case. It returns an [*InvalidError] on the field id if s is
// not a UUID with hyphens.
func ParseOrderID(s string) (OrderID, error) {
	lower := strings.ToLower(s)
	if !isUUID(lower) {
		return "", &InvalidError{Fields: []FieldError{{Field: "id", Reason: "must be a UUID with hyphens"}}}
	}
	return OrderID(lower), nil
}

// Order is what a user ordered. Make one with [NewOrder], or read one with
// [KnownOrder]; it does not change afterwards.
type Order struct {
	ID        OrderID
	UserID    string
	Product   string
	Quantity  int
	CreatedAt time.Time
}

// NewOrder returns an order that keeps every rule, or an [*InvalidError] that
// names each field that does not: id is a UUID in lower case; userID has 1 to
// [MaxUserID] characters, product 1 to [MaxProduct], both valid UTF-8 without
// control characters and with a visible one; quantity is from 1 to
// [MaxQuantity]; the time is in the years 1 to 9999. It is cut to the millisecond
// and kept in UTC, so that every store gives back what it was given.
func NewOrder(id OrderID, userID, product string, quantity int, createdAt time.Time) (Order, error) {
	return makeOrder(id, userID, product, quantity, createdAt, checkNewText)
}

// KnownOrder returns an order that was accepted before, as a store or a message
// has it. It need not have visible characters: that rule of [NewOrder] came
// later than others, and what was accepted once is read for ever.
func KnownOrder(id OrderID, userID, product string, quantity int, createdAt time.Time) (Order, error) {
	return makeOrder(id, userID, product, quantity, createdAt, checkText)
}

func makeOrder(id OrderID, userID, product string, quantity int, createdAt time.Time, checkText func(string, int) string) (Order, error) {
	var invalid InvalidError
	invalid.add("id", checkID(id))
	invalid.add("user_id", checkText(userID, MaxUserID))
	invalid.add("product", checkText(product, MaxProduct))
	invalid.add("quantity", checkRange(quantity, MaxQuantity))
	if createdAt.IsZero() {
		invalid.add("created_at", "is missing")
	} else if !IsWritable(createdAt) {
		invalid.add("created_at", "must be in the years 1 to 9999")
	}
	if len(invalid.Fields) > 0 {
		return Order{}, &invalid
	}
	return Order{
		ID:        id,
		UserID:    userID,
		Product:   product,
		Quantity:  quantity,
		CreatedAt: TruncateTime(createdAt),
	}, nil
}

// TruncateTime returns the time in UTC, truncated to the millisecond: every time
// that is stored or published has this form, so that all adapters agree on it.
func TruncateTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// IsWritable reports whether RFC 3339 can write the time, in UTC: its year is
// from 1 to 9999.
func IsWritable(t time.Time) bool {
	year := t.UTC().Year()
	return 1 <= year && year <= 9999
}

// Created returns the event that the order was placed. It is a function of the
// order alone: however often it is made, its id is the same.
func (o Order) Created() Event {
	return Event{
		ID:    EventID(o.ID) + created,
		Type:  OrderCreated,
		Time:  o.CreatedAt,
		Order: o,
	}
}
