package memory

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// DefaultOutboxLease is how long a claim on an event lasts by default.
const DefaultOutboxLease = 15 * time.Second

// Orders is an order repository and its outbox. The zero Orders is ready for
// use; set its field before the first call.
type Orders struct {
	Lease time.Duration // how long a claim on an event lasts; 0 or less: DefaultOutboxLease

	mu      sync.Mutex
	orders  map[domain.OrderID]domain.Order
	byUser  map[string]*timeline[cursor.Position] // all orders under "", which is no user's id
	waiting map[domain.EventID]*unpublished
	outbox  byFreeAt
	claims  int // made so far

	published    int // events that were marked as published
	waitingSince timeline[cursor.Position]
}

var (
	_ ports.OrderRepository = (*Orders)(nil)
	_ ports.Outbox          = (*Orders)(nil)
	_ ports.Pinger          = (*Orders)(nil)
)

// Ping returns nil: no server has to answer.
func (o *Orders) Ping(context.Context) error { return nil }

// System returns the product's name in traces.
func (o *Orders) System() string { return "memory" }

// Add keeps the order and its event.
func (o *Orders) Add(ctx context.Context, order domain.Order, origin domain.Origin) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("add order %s: %w", order.ID, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.orders[order.ID]; ok {
		return fmt.Errorf("add order %s: %w", order.ID, ports.ErrExists)
	}
	if o.orders == nil {
		o.orders = make(map[domain.OrderID]domain.Order)
		o.byUser = make(map[string]*timeline[cursor.Position])
		o.waiting = make(map[domain.EventID]*unpublished)
	}
	o.orders[order.ID] = order
	for _, user := range []string{"", order.UserID} {
		if o.byUser[user] == nil {
			o.byUser[user] = new(timeline[cursor.Position])
		}
		o.byUser[user].add(cursor.Of(order))
	}
	u := &unpublished{event: order.Created()}
	u.event.Origin = origin.Valid()
	heap.Push(&o.outbox, u)
	o.waiting[u.event.ID] = u
	o.waitingSince.add(cursor.Of(order))
	o.freeAt(u, o.leaseEnd())
	return nil
}

// Get returns the order with that id.
func (o *Orders) Get(ctx context.Context, id domain.OrderID) (domain.Order, error) {
	if err := ctx.Err(); err != nil {
		return domain.Order{}, fmt.Errorf("get order %s: %w", id, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	order, ok := o.orders[id]
	if !ok {
		return domain.Order{}, fmt.Errorf("get order %s: %w", id, ports.ErrNotFound)
	}
	return order, nil
}

// List returns one page of orders, newest first.
func (o *Orders) List(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
	if err := ctx.Err(); err != nil {
		return ports.OrderPage{}, fmt.Errorf("list orders: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	start, ok, err := cursor.Start(query)
	if err != nil {
		return ports.OrderPage{}, fmt.Errorf("list orders: %w", err)
	}
	positions := o.byUser[query.UserID].all()
	if ok {
		positions = o.byUser[query.UserID].after(start)
	}
	limit := min(max(query.Limit, 1), ports.MaxListLimit)
	var page ports.OrderPage
	for p := range positions {
		if p.CreatedAt.Before(query.CreatedFrom) {
			break
		}
		if len(page.Orders) == limit {
			page.NextCursor = cursor.Encode(cursor.Of(page.Orders[limit-1]), query)
			break
		}
		page.Orders = append(page.Orders, o.orders[p.ID])
	}
	return page, nil
}

// Claim claims up to limit free events.
func (o *Orders) Claim(ctx context.Context, limit int) ([]domain.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("claim events: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var events []domain.Event
	now, end := time.Now(), o.leaseEnd()
	for len(events) < limit && len(o.outbox) > 0 && !now.Before(o.outbox[0].freeAt) {
		first := o.outbox[0]
		o.freeAt(first, end)
		events = append(events, first.event)
	}
	return events, nil
}

// MarkPublished removes the events from the outbox.
func (o *Orders) MarkPublished(ctx context.Context, ids ...domain.EventID) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("mark %d events published: %w", len(ids), err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		if u, ok := o.waiting[id]; ok {
			heap.Remove(&o.outbox, u.index)
			delete(o.waiting, id)
			o.waitingSince.remove(cursor.Of(u.event.Order))
			o.published++
		}
	}
	return nil
}

// Release gives up the claims on the events, which are free from the time at on.
func (o *Orders) Release(ctx context.Context, at time.Time, ids ...domain.EventID) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("release %d events: %w", len(ids), err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	// The time is measured by the monotonic clock, which is never set back.
	now := time.Now()
	at = now.Add(min(at.Sub(now), ports.MaxReleaseDelay))
	for _, id := range ids {
		if u, ok := o.waiting[id]; ok {
			o.freeAt(u, at)
		}
	}
	return nil
}

// ClaimLease returns how long a claim on an event lasts.
func (o *Orders) ClaimLease() time.Duration {
	if o.Lease > 0 {
		return o.Lease
	}
	return DefaultOutboxLease
}

// freeAt makes the event free from the time at on.
func (o *Orders) freeAt(u *unpublished, at time.Time) {
	o.claims++
	u.freeAt, u.claim = at, o.claims
	heap.Fix(&o.outbox, u.index)
}

func (o *Orders) leaseEnd() time.Time { return time.Now().Add(o.ClaimLease()) }
