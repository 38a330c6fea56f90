package porttest

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/orderflow/domain"
)

var epoch = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// orderID returns the id of the nth order. Ids do not sort as their numbers.
func orderID(n int) domain.OrderID {
	h := sha256.Sum256([]byte(strconv.Itoa(n)))
	x := fmt.Sprintf("%x", h[:16])
	return domain.OrderID(x[:8] + "-" + x[8:12] + "-8" + x[13:16] + "-8" + x[17:20] + "-" + x[20:])
}

// order returns the nth order, created n seconds after the epoch.
func order(n int) domain.Order {
	return newOrder(n, "user", "product "+strconv.Itoa(n), n%domain.MaxQuantity+1, epoch.Add(time.Duration(n)*time.Second))
}

func newOrder(n int, user, product string, quantity int, at time.Time) domain.Order {
	order, err := domain.NewOrder(orderID(n), user, product, quantity, at)
	if err != nil {
		panic(err)
	}
	return order
}

// orders returns count orders from the nth on.
func orders(n, count int) []domain.Order {
	list := make([]domain.Order, count)
	for i := range list {
		list[i] = order(n + i)
	}
	return list
}

// eventOf returns the order's event, with the origin of originOf.
func eventOf(order domain.Order) domain.Event {
	event := order.Created()
	event.Origin = originOf(order)
	return event
}

// originOf returns an origin for the order's event. Of some it knows nothing, or not all.
func originOf(order domain.Order) domain.Origin {
	id := strings.ReplaceAll(string(order.ID), "-", "")
	origin := domain.Origin{RequestID: "request-" + id[:8]}
	switch (int(order.ID[0]) + order.Quantity) % 3 {
	case 0:
		return domain.Origin{}
	case 1:
		origin.TraceParent, origin.TraceState = "00-"+id+"-"+id[:16]+"-01", "vendor=value,other@vendor="+id[:4]
	}
	return origin
}

// hardOrigins returns valid origins at their limits.
func hardOrigins() []domain.Origin {
	const trace = "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
	return []domain.Origin{
		{},
		{RequestID: strings.Repeat("~", domain.MaxRequestID)},
		{RequestID: `{"$gt":""}`, TraceParent: "00" + trace + "00"},
		{RequestID: "null", TraceParent: "fe" + trace + "ff", TraceState: " a=b  c,,d@e=<&> "},
		{TraceParent: "00" + trace + "01", TraceState: strings.Repeat("x", domain.MaxTraceState)},
	}
}

// brokenOrigins returns origins that break rules, and what is left of them.
func brokenOrigins() map[domain.Origin]domain.Origin {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	long := strings.Repeat("x", 1<<17)
	return map[domain.Origin]domain.Origin{
		{RequestID: long, TraceParent: long, TraceState: long}:             {},
		{RequestID: "a b", TraceParent: parent, TraceState: "a=\n"}:        {TraceParent: parent},
		{RequestID: "\xff", TraceParent: parent, TraceState: "a=b"}:        {TraceParent: parent, TraceState: "a=b"},
		{RequestID: "a", TraceParent: "00-0-0-01", TraceState: "a=b"}:      {RequestID: "a"},
		{RequestID: "\x00", TraceState: "a=b"}:                             {},
		{RequestID: "a", TraceParent: parent[:52], TraceState: "\xc3\x28"}: {RequestID: "a"},
	}
}

// event returns the nth order's event.
func event(n int) domain.Event { return eventOf(order(n)) }

// events returns the events of count orders from the nth on.
func events(n, count int) []domain.Event { return created(orders(n, count)) }

func created(orders []domain.Order) []domain.Event {
	list := make([]domain.Event, len(orders))
	for i, order := range orders {
		list[i] = eventOf(order)
	}
	return list
}

func eventIDs(events []domain.Event) []domain.EventID {
	ids := make([]domain.EventID, len(events))
	for i, event := range events {
		ids[i] = event.ID
	}
	return ids
}

// hardOrders returns valid orders that a server easily changes when it stores or
// returns them.
func hardOrders() []domain.Order {
	return []domain.Order{
		newOrder(1, "u", "p", 1, epoch),
		newOrder(2, strings.Repeat("ü", domain.MaxUserID), strings.Repeat("界", domain.MaxProduct), domain.MaxQuantity, epoch),
		newOrder(3, `{"$gt":""}`, `<b>&amp;</b> "quoted" \n 'single' {{.}} %s $1`, 2, epoch),
		newOrder(4, " a.b$c ", "  -  ", 3, epoch),
		newOrder(5, "e\u0301", "\u00e9 \U0001F6D2 \u200f\u2028", 4, epoch), // must not be normalised
		newOrder(6, "0123", "1e3", 5, epoch),
		newOrder(7, "null", "true", 6, epoch.Add(999*time.Millisecond)),
		newOrder(8, "late", "far from now", 7, time.Date(2300, 1, 1, 0, 0, 0, 1_000_000, time.UTC)),
		newOrder(9, "early", "before 1970", 8, time.Date(1969, 12, 31, 23, 59, 59, 999_000_000, time.UTC)),
	}
}
