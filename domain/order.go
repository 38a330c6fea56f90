package domain

import (
	"strings"
	"time"
)

// The bounds of an order's fields. Lengths count Unicode characters.
const (
	MaxUserID   = 128
	MaxProduct  = 256
	MaxQuantity = 1_000_000
)

// OrderID identifies an order. It is a UUID (RFC 9562) in lower case with hyphens.
type OrderID string

// ParseOrderID returns s as an OrderID; letters may be in upper case. An
// [*InvalidError] for the field id is returned when s is not a UUID with hyphens.
func ParseOrderID(s string) (OrderID, error) {
	lower := strings.ToLower(s)
	if !isUUID(lower) {
		return "", &InvalidError{Fields: []FieldError{{Field: "id", Reason: "must be a UUID with hyphens"}}}
	}
	return OrderID(lower), nil
}

// Order is one user's order of one product. [NewOrder] makes a new one,
// [KnownOrder] one that was accepted before. An order never changes.
type Order struct {
	ID        OrderID
	UserID    string
	Product   string
	Quantity  int
	CreatedAt time.Time
}

// NewOrder returns a new order with the time as [TruncateTime] returns it.
//
// The rules are: id is a UUID in lower case. userID has 1 to [MaxUserID]
// characters, product 1 to [MaxProduct]; both are valid UTF-8 with a visible
// character and no control characters. quantity is 1 to [MaxQuantity]. The time is
// in the years 1 to 9999. An [*InvalidError], which names every wrong field, is
// returned when a rule is broken.
func NewOrder(id OrderID, userID, product string, quantity int, createdAt time.Time) (Order, error) {
	return makeOrder(id, userID, product, quantity, createdAt, checkNewText)
}

// KnownOrder returns an order that was accepted before, from a store or a message.
// It keeps the rules of [NewOrder], except that its texts need no visible
// character: earlier versions accepted orders without one.
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

// CheckUserID returns an [*InvalidError] for the field user_id when [NewOrder] refuses
// the user.
func CheckUserID(userID string) error { return checkUserID(userID, checkNewText) }

// CheckKnownUserID returns an [*InvalidError] for the field user_id when [KnownOrder]
// refuses the user.
func CheckKnownUserID(userID string) error { return checkUserID(userID, checkText) }

func checkUserID(userID string, checkText func(string, int) string) error {
	var invalid InvalidError
	invalid.add("user_id", checkText(userID, MaxUserID))
	if len(invalid.Fields) > 0 {
		return &invalid
	}
	return nil
}

// TruncateTime returns the time in UTC, truncated to the millisecond. Every time
// that is stored or published has this form, so all adapters return the same time.
func TruncateTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// IsWritable reports whether RFC 3339 can express the time in UTC: its year is 1
// to 9999.
func IsWritable(t time.Time) bool {
	year := t.UTC().Year()
	return 1 <= year && year <= 9999
}

// Created returns the event that says that the order was placed. The same order
// always returns the same event.
func (o Order) Created() Event {
	return Event{
		ID:    EventID(o.ID) + created,
		Type:  OrderCreated,
		Time:  o.CreatedAt,
		Order: o,
	}
}
