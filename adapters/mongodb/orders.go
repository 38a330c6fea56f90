package mongodb

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Orders stores orders, and their events until they are published.
type Orders struct{ store *Store }

var (
	_ ports.OrderRepository = (*Orders)(nil)
	_ ports.Outbox          = (*Orders)(nil)
)

// Orders returns the store's orders.
func (s *Store) Orders() *Orders { return &s.parts.orders }

// System returns the product's name in traces.
func (o *Orders) System() string { return "mongodb" }

// ClaimLease returns how long a claim on an event lasts.
func (o *Orders) ClaimLease() time.Duration { return o.store.options.OutboxLease }

type orderDocument struct {
	ID        string         `bson:"_id"`
	UserID    string         `bson:"user_id"`
	Product   string         `bson:"product"`
	Quantity  int            `bson:"quantity"`
	CreatedAt time.Time      `bson:"created_at"`
	Outbox    outboxDocument `bson:"outbox"`
	Late      string         `bson:"late,omitempty"` // see [counter]
}

// outboxDocument marks the event of its order as waiting to be published.
type outboxDocument struct {
	FreeAt time.Time       `bson:"free_at"`         // when the claim ends
	Claim  string          `bson:"claim,omitempty"` // its token
	Origin *originDocument `bson:"origin,omitempty"`
}

// Add stores the order with its event. See [ports.OrderRepository].
func (o *Orders) Add(ctx context.Context, order domain.Order, origin domain.Origin) (err error) {
	defer describe(&err, "add order %s", order.ID)
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	err = o.store.additions.Do(ctx, addition{order, origin.Valid()})
	switch {
	case err == nil:
		return nil
	case isDuplicate(err):
		return ports.ErrExists
	}
	return classify(ctx, err)
}

// addition is an order that waits for the next write.
type addition struct {
	domain.Order
	origin domain.Origin
}

func (a addition) Key() string { return string(a.ID) }

func (a addition) Size() int { return len(a.UserID) + len(a.Product) + len(a.origin.TraceState) + 500 }

// insertOrders writes the orders of several callers. The leases begin now, not
// when the calls began.
func (s *Store) insertOrders(ctx context.Context, additions []addition) []error {
	freeAt, claim := time.Now().Add(s.options.OutboxLease), s.owner.token()
	times := make([]time.Time, len(additions))
	for i, a := range additions {
		times[i] = a.CreatedAt
	}
	return s.orderCounter.count(ctx, times, len(times), func(late func(time.Time) string) []error {
		documents := make([]orderDocument, len(additions))
		for i, a := range additions {
			documents[i] = orderDocument{
				ID:        string(a.ID),
				UserID:    a.UserID,
				Product:   a.Product,
				Quantity:  a.Quantity,
				CreatedAt: a.CreatedAt,
				Outbox:    outboxDocument{freeAt, claim, newOriginDocument(a.origin)},
				Late:      late(a.CreatedAt),
			}
		}
		return insert(ctx, s, s.orders, documents)
	})
}

// Get returns the order with that id. See [ports.OrderRepository].
func (o *Orders) Get(ctx context.Context, id domain.OrderID) (_ domain.Order, err error) {
	defer describe(&err, "get order %s", id)
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
func (o *Orders) List(ctx context.Context, query ports.OrderQuery) (_ ports.OrderPage, err error) {
	defer describe(&err, "list orders")
	ctx, cancel := o.store.bound(ctx)
	defer cancel()
	filter, err := listFilter(query)
	if err != nil {
		return ports.OrderPage{}, err
	}
	found, err := findPage(ctx, o.store, o.store.orders, filter, options.Find().SetSort(newestFirst), query.Limit, readOrder)
	if err != nil {
		return ports.OrderPage{}, err
	}
	page := ports.OrderPage{Orders: found.records, Unreadable: found.skipped.Count}
	if found.more {
		page.NextCursor = cursor.Encode(cursor.Of(found.last()), query)
	}
	return page, nil
}

func listFilter(query ports.OrderQuery) (bson.M, error) {
	filter := bson.M{}
	if query.UserID != "" {
		filter["user_id"] = query.UserID
	}
	at := bson.M{}
	if !query.CreatedFrom.IsZero() {
		at["$gte"] = cursor.Ceil(query.CreatedFrom)
	}
	start, ok, err := cursor.Start(query)
	switch {
	case err != nil:
		return nil, err
	case query.Cursor != "":
		// The first condition is where an index scan starts. The others exclude the orders
		// of earlier pages. A value that is not a time is sorted by its type.
		at["$not"] = bson.M{"$gt": start.CreatedAt}
		filter["$nor"] = bson.A{
			bson.M{"created_at": bson.M{"$type": typesAfter("date")}},
			bson.M{"created_at": start.CreatedAt, "_id": bson.M{"$gte": string(start.ID)}},
			bson.M{"created_at": start.CreatedAt, "_id": bson.M{"$type": typesAfter("string")}},
		}
	case ok:
		at["$lt"] = start.CreatedAt
	}
	if len(at) > 0 {
		filter["created_at"] = at
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
