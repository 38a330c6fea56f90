package templates

import (
	"strings"
	"time"

	"example.com/orderflow/domain"
)

// Data is the data of a template, such as {{.Order.Product}}.
type Data struct {
	Order    Order
	Event    Event
	Language string // the template's, such as "en"
	Test     bool   // the order does not exist
}

// Order is the order of the event.
type Order struct {
	ID        string
	UserID    string
	Product   string
	Quantity  int
	CreatedAt time.Time // UTC; show it by {{.Order.CreatedAt.Format "2 Jan 2006"}}
}

// Event is what has happened to the order.
type Event struct {
	ID   string
	Type string    // such as "order.created"
	Time time.Time // UTC
}

func newData(event domain.Event, language string, test bool) Data {
	o := event.Order
	return Data{
		Order:    Order{ID: string(o.ID), UserID: o.UserID, Product: o.Product, Quantity: o.Quantity, CreatedAt: o.CreatedAt.UTC()},
		Event:    Event{ID: string(event.ID), Type: string(event.Type), Time: event.Time.UTC()},
		Language: language,
		Test:     test,
	}
}

// eventTypes are all types that need templates.
var eventTypes = []domain.EventType{domain.OrderCreated}

// Sample returns the event of an order that does not exist.
func Sample() domain.Event {
	return sample("123", "Laptop", 2, time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)).Created()
}

func sample(user, product string, quantity int, at time.Time) domain.Order {
	order, err := domain.KnownOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", user, product, quantity, at)
	if err != nil {
		panic(err) // a mistake in this file
	}
	return order
}

// samples are the orders that New renders. Their names say what is special about them.
var samples = []struct {
	name  string
	order domain.Order
	test  bool
}{
	{"an order", Sample().Order, false},
	{"a test", Sample().Order, true},
	{"the longest order", sample(strings.Repeat("𝔐", domain.MaxUserID), strings.Repeat("\U0001F6D2", domain.MaxProduct), domain.MaxQuantity,
		time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC)), true},
	{"an order full of HTML", sample(strings.Repeat("'", domain.MaxUserID), strings.Repeat(`<a b="&'`, domain.MaxProduct/8), 1,
		time.Date(1, 1, 1, 0, 0, 0, 1_000_000, time.UTC)), false},
	{"an order without a visible character", sample(" ", "\u2060", 1, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), false},
}

// eventOf returns an event of the type about the order.
func eventOf(kind domain.EventType, order domain.Order) domain.Event {
	event := order.Created()
	event.Type = kind
	return event
}
