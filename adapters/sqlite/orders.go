package sqlite

import (
	"context"
	"errors"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Orders keeps orders, and their events until they are published.
type Orders struct{ store *Store }

var (
	_ ports.OrderRepository = (*Orders)(nil)
	_ ports.Outbox          = (*Orders)(nil)
)

// Orders returns the store's orders.
func (s *Store) Orders() *Orders { return &s.parts.orders }

// System returns the product's name in traces.
func (o *Orders) System() string { return "sqlite" }

// Add stores the order with its event. See [ports.OrderRepository].
func (o *Orders) Add(ctx context.Context, order domain.Order, origin domain.Origin) (err error) {
	defer describe(&err, "add order %s", order.ID)
	s := o.store
	origin = origin.Valid()
	return s.write(ctx, durable, func(tx *tx) error {
		added, err := tx.exec("INSERT INTO orders (id, user_id, product, quantity, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			string(order.ID), order.UserID, order.Product, order.Quantity, order.CreatedAt.UnixMilli())
		if err != nil {
			return err
		}
		if added == 0 {
			return ports.ErrExists
		}
		tx.count(countOrders, 1)
		tx.list(userOrders)
		_, err = tx.exec("INSERT OR REPLACE INTO outbox (order_id, owner, free_at, ordered_at, request_id, traceparent, tracestate) VALUES (?, ?, ?, ?, ?, ?, ?)",
			string(order.ID), s.owner, time.Now().Add(s.options.OutboxLease), order.CreatedAt.UnixMilli(),
			orNull(origin.RequestID), orNull(origin.TraceParent), orNull(origin.TraceState))
		return err
	})
}

// Get returns the order with that id. See [ports.OrderRepository].
func (o *Orders) Get(ctx context.Context, id domain.OrderID) (order domain.Order, err error) {
	defer describe(&err, "get order %s", id)
	err = o.store.read(ctx, func(tx *tx) (err error) {
		order, err = readOne(tx, readOrder, selectOrders+" WHERE id = ?", string(id))
		return err
	})
	return order, err
}

// List returns a page of orders. See [ports.OrderRepository].
func (o *Orders) List(ctx context.Context, query ports.OrderQuery) (page ports.OrderPage, err error) {
	defer describe(&err, "list orders")
	var where filter
	if !query.CreatedFrom.IsZero() {
		where.add("created_at >= ?", cursor.Ceil(query.CreatedFrom).UnixMilli())
	}
	start, ok, err := cursor.Start(query)
	if err != nil {
		return page, err
	}
	if ok {
		where.add("(created_at, id) < (?, ?)", start.CreatedAt.UnixMilli(), string(start.ID))
	}
	sql, args := selectOrders+where.sql()+" ORDER BY created_at DESC, id DESC", where.args
	if query.UserID != "" {
		sql, args = userOrders.latest(orderColumns, "orders", query.UserID, where, filter{})
	}
	found, err := readPage(ctx, o.store, "orders", query.Limit, readOrder, sql, args...)
	if err != nil {
		return page, err
	}
	page.Orders, page.Unreadable = found.records, found.skipped.Count
	if found.more {
		page.NextCursor = cursor.Encode(cursor.Of(found.last()), query)
	}
	return page, nil
}

// Count returns how many orders are kept. It counts none of them.
func (o *Orders) Count(ctx context.Context) (n int, err error) {
	defer describe(&err, "count orders")
	err = o.store.read(ctx, func(tx *tx) error {
		return tx.query(func(r row) bool { n = r.ColumnInt(0); return true }, "SELECT n FROM counters WHERE name = ?", countOrders)
	})
	return n, err
}

const (
	orderColumns = "id, user_id, product, quantity, created_at"
	selectOrders = "SELECT " + orderColumns + " FROM orders"
)

// readOrder reads a row of selectOrders.
func readOrder(r row) (domain.Order, error) {
	id := r.ColumnText(0)
	order, err := domain.KnownOrder(domain.OrderID(id), r.ColumnText(1), r.ColumnText(2), r.ColumnInt(3), r.time(4))
	var invalid *domain.InvalidError
	if errors.As(err, &invalid) {
		first := invalid.Fields[0]
		return domain.Order{}, unreadable(id, first.Field, first.Reason)
	}
	return order, err
}

// withOrigin returns the order's event.
func withOrigin(order domain.Order, origin domain.Origin) domain.Event {
	event := order.Created()
	event.Origin = origin
	return event
}

// readOrigin reads three columns from the first on.
func readOrigin(r row, first int) domain.Origin {
	return domain.Origin{RequestID: r.ColumnText(first), TraceParent: r.ColumnText(first + 1), TraceState: r.ColumnText(first + 2)}.Valid()
}

// orNull returns the text as a parameter; an empty one is NULL, which takes no room.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}
