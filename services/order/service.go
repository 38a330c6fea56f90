package order

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/statelog"
	"example.com/orderflow/services/internal/telemetry"
	"example.com/orderflow/services/internal/wiring"
)

// Service holds the use cases of orders.
type Service struct {
	orders ports.OrderRepository
	relay  *Relay
	log    *slog.Logger
	placed statelog.Minutely
}

// NewService returns a service that stores orders in the repository and hands
// their events to the relay. Both are required. A nil log means slog.Default().
func NewService(orders ports.OrderRepository, relay *Relay, log *slog.Logger) (*Service, error) {
	if err := wiring.Check("order service", wiring.Part{Name: "a repository", Given: orders}, wiring.Part{Name: "a relay", Given: relay}); err != nil {
		return nil, err
	}
	if relay.outbox == nil {
		return nil, errors.New("order service needs a relay made by NewRelay, got a zero value")
	}
	return &Service{orders: orders, relay: relay, log: wiring.Logger(log)}, nil
}

// Placement is a user's request for an order. [domain.NewOrder] has the rules of the
// order's fields.
type Placement struct {
	UserID   string
	Product  string
	Quantity int

	// IdempotencyKey makes the request repeatable: a user's requests with the same
	// key place one order. Without a key each request places an order.
	IdempotencyKey string
}

// ErrKeyReused is returned when the user has used the idempotency key for another
// order.
var ErrKeyReused = errors.New("idempotency key used before for another order")

// Place stores a new order and returns it. No later failure keeps the order's event
// from the broker.
//
// If the user has used the idempotency key before, Place stores nothing. It returns
// the first order, and replayed is true. [ErrKeyReused] is returned when the first
// order differs.
//
// A [*domain.InvalidError], which names the fields, is returned when fields break a
// rule. [ports.ErrUnavailable] is returned when the order may be stored or not;
// place it again with the same key to find out.
func (s *Service) Place(ctx context.Context, p Placement) (order domain.Order, replayed bool, err error) {
	id, err := newOrderID(p.UserID, p.IdempotencyKey)
	if err != nil {
		return domain.Order{}, false, err
	}
	now := time.Now()
	order, err = domain.NewOrder(id, p.UserID, p.Product, p.Quantity, now)
	if err != nil {
		return domain.Order{}, false, err
	}
	event := order.Created()
	event.Origin = telemetry.OriginOf(ctx)
	err = s.add(ctx, order, event.Origin)
	if p.IdempotencyKey != "" && errors.Is(err, ports.ErrExists) {
		order, err = s.replay(ctx, order)
		return order, err == nil, err
	}
	if err != nil {
		return domain.Order{}, false, fmt.Errorf("place order: %w", err)
	}
	s.relay.observed().Placed(ctx)
	s.relay.Enqueue(event, now)
	s.log.DebugContext(ctx, "order placed", "order_id", order.ID)
	s.placed.Note(func(count int) {
		s.log.InfoContext(ctx, "orders placed", "since_last_line", count, "last_order_id", order.ID)
	})
	return order, false, nil
}

// add stores the order. The event's origin is the request's span: the insert does not
// cause the event.
func (s *Service) add(ctx context.Context, order domain.Order, origin domain.Origin) error {
	ctx, end := s.relay.observed().Storing(ctx, s.orders, order.ID)
	err := s.orders.Add(ctx, order, origin)
	end(err)
	return err
}

// keyNamespace is the UUID namespace of the order ids made from idempotency keys.
var keyNamespace = uuid.MustParse("6f1f4a3e-8d0b-4f43-9a52-1c0f6b7f2c5d")

// newOrderID derives the order's id from the user and the key, so that a repeat
// finds the first order without a table of keys. Without a key the id is a UUIDv7.
func newOrderID(userID, key string) (domain.OrderID, error) {
	if key != "" {
		return domain.OrderID(uuid.NewSHA1(keyNamespace, []byte(userID+"\x00"+key)).String()), nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an order id: %w", err)
	}
	return domain.OrderID(id.String()), nil
}

// replay returns the stored order with the wanted order's id. [ErrKeyReused] is
// returned when the two differ in more than their time.
func (s *Service) replay(ctx context.Context, wanted domain.Order) (domain.Order, error) {
	first, err := s.orders.Get(ctx, wanted.ID)
	if err != nil {
		return domain.Order{}, fmt.Errorf("place order again: %w", err)
	}
	wanted.CreatedAt = first.CreatedAt
	if first != wanted {
		return domain.Order{}, fmt.Errorf("place order again: order %s: %w", first.ID, ErrKeyReused)
	}
	return first, nil
}

// Get returns the order. See [ports.OrderRepository].
func (s *Service) Get(ctx context.Context, id domain.OrderID) (domain.Order, error) {
	return s.orders.Get(ctx, id)
}

// List returns one page of orders, newest first. See [ports.OrderRepository].
func (s *Service) List(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
	return s.orders.List(ctx, query)
}
