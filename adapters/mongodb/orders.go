package mongodb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Orders keeps orders, and their events until they are published. Make one
// with [Store.Orders].
type Orders struct {
	Lease  time.Duration // how long a claim on an event lasts; 0 or less: 15 s
	Logger *slog.Logger  // of records that can't be read; nil: slog.Default()

	store *Store
}

var (
	_ ports.OrderRepository = (*Orders)(nil)
	_ ports.Outbox          = (*Orders)(nil)
)

// Orders returns the store's orders, which are the same each time.
func (s *Store) Orders() *Orders { return &s.parts.orders }

// ClaimLease returns how long a claim on an event lasts.
func (o *Orders) ClaimLease() time.Duration { return orDefault(o.Lease, 15*time.Second) }

type orderDocument struct {
	ID        string         `bson:"_id"`
	UserID    string         `bson:"user_id"`
	Product   string         `bson:"product"`
	Quantity  int            `bson:"quantity"`
	CreatedAt time.Time      `bson:"created_at"`
	Outbox    outboxDocument `bson:"outbox"`
}

// outboxDocument is the part of an order's document that is there while its
// event waits to be published.
type outboxDocument struct {
	FreeAt time.Time `bson:"free_at"`         // when the claim on the event runs out
	Claim  string    `bson:"claim,omitempty"` // the token of the Claim that took it last
}

// Add keeps the order with its event. See [ports.OrderRepository].
func (o *Orders) Add(ctx context.Context, order domain.Order) error {
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	if err := o.add(ctx, addition{order: order, lease: o.ClaimLease()}); err != nil {
		return fmt.Errorf("add order %s: %w", order.ID, err)
	}
	return nil
}

func (o *Orders) add(ctx context.Context, a addition) error {
	err := o.store.additions.Do(ctx, a)
	switch {
	case err == nil:
		return nil
	case isDuplicate(err):
		return ports.ErrExists
	}
	return classify(ctx, err)
}

// addition is an order that waits to be written together with others.
type addition struct {
	order domain.Order
	lease time.Duration
}

func (a addition) Key() string { return string(a.order.ID) }

func (a addition) Size() int { return len(a.order.UserID) + len(a.order.Product) + 300 }

// insertOrders writes orders of several callers. The claims begin now, however
// long an order has waited.
func (s *Store) insertOrders(ctx context.Context, additions []addition) []error {
	now := time.Now()
	documents := make([]orderDocument, len(additions))
	for i, a := range additions {
		documents[i] = orderDocument{
			ID:        string(a.order.ID),
			UserID:    a.order.UserID,
			Product:   a.order.Product,
			Quantity:  a.order.Quantity,
			CreatedAt: a.order.CreatedAt,
			Outbox:    outboxDocument{FreeAt: now.Add(a.lease)},
		}
	}
	return insert(ctx, s, s.orders, documents)
}

// Get returns the order with that id. See [ports.OrderRepository].
func (o *Orders) Get(ctx context.Context, id domain.OrderID) (domain.Order, error) {
	order, err := o.get(ctx, id)
	if err != nil {
		return domain.Order{}, fmt.Errorf("get order %s: %w", id, err)
	}
	return order, nil
}

func (o *Orders) get(ctx context.Context, id domain.OrderID) (domain.Order, error) {
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	document, err := o.store.orders.FindOne(ctx, bson.M{"_id": string(id)}).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return domain.Order{}, ports.ErrNotFound
	}
	if err != nil {
		return domain.Order{}, classify(ctx, err)
	}
	return readOrder(document)
}

// List returns a page of orders. See [ports.OrderRepository].
func (o *Orders) List(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
	page, err := o.list(ctx, query)
	if err != nil {
		return ports.OrderPage{}, fmt.Errorf("list orders: %w", err)
	}
	return page, nil
}

func (o *Orders) list(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	filter, err := listFilter(query)
	if err != nil {
		return ports.OrderPage{}, err
	}
	limit := min(max(query.Limit, 1), ports.MaxListLimit)
	found, err := findPage(ctx, o.store.orders, filter, first(limit+1, newestFirst), limit, readOrder)
	if err != nil {
		return ports.OrderPage{}, err
	}
	found.passed.log(ctx, o.Logger, o.store.orders)
	page := ports.OrderPage{Orders: found.records, Unreadable: found.passed.count}
	if found.more {
		page.NextCursor = cursor.Encode(cursor.Of(page.Orders[limit-1]))
	}
	return page, nil
}

func listFilter(query ports.OrderQuery) (bson.M, error) {
	filter := bson.M{}
	if query.UserID != "" {
		filter["user_id"] = query.UserID
	}
	if query.Cursor == "" {
		return filter, nil
	}
	after, err := cursor.Decode(query.Cursor)
	if err != nil {
		return nil, err
	}
	// The first condition is where an index scan starts; the others pass over
	// what the pages before had. What has no time is sorted by its type.
	filter["created_at"] = bson.M{"$not": bson.M{"$gt": after.CreatedAt}}
	filter["$nor"] = bson.A{
		bson.M{"created_at": bson.M{"$type": typesAfter("date")}},
		bson.M{"created_at": after.CreatedAt, "_id": bson.M{"$gte": string(after.ID)}},
		bson.M{"created_at": after.CreatedAt, "_id": bson.M{"$type": typesAfter("string")}},
	}
	return filter, nil
}

func readOrder(document bson.Raw) (domain.Order, error) {
	r := reader{doc: document}
	id := field(&r, "_id", bson.RawValue.StringValueOK)
	userID := field(&r, "user_id", bson.RawValue.StringValueOK)
	product := field(&r, "product", bson.RawValue.StringValueOK)
	quantity := field(&r, "quantity", integer)
	createdAt := field(&r, "created_at", bson.RawValue.TimeOK)
	if r.err != nil {
		return domain.Order{}, unreadable(document, r.err)
	}
	order, err := domain.KnownOrder(domain.OrderID(id), userID, product, quantity, createdAt)
	var invalid *domain.InvalidError
	if errors.As(err, &invalid) {
		first := invalid.Fields[0]
		return domain.Order{}, unreadable(document, &ports.UnreadableError{Field: first.Field, Reason: first.Reason})
	}
	return order, err
}
