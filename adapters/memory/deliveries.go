package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// DefaultDeliveryLease is the default of Deliveries.Lease.
const DefaultDeliveryLease = 45 * time.Second

// Deliveries is the log of the notifications that were sent.
type Deliveries struct {
	Lease time.Duration // how long a claim lasts; 0 or less: DefaultDeliveryLease

	mu      sync.Mutex
	claims  map[domain.NotificationKey]*claim // the latest of each delivery, even after its lease
	sent    map[domain.NotificationKey]bool
	byOrder map[domain.OrderID][]domain.Notification
}

var _ ports.DeliveryLog = (*Deliveries)(nil)

type claim struct {
	log  *Deliveries
	key  domain.NotificationKey
	ends time.Time
}

// ClaimLease returns how long a claim lasts.
func (d *Deliveries) ClaimLease() time.Duration {
	if d.Lease > 0 {
		return d.Lease
	}
	return DefaultDeliveryLease
}

// Claim reserves sending the event's notification by the channel.
func (d *Deliveries) Claim(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("claim delivery of %s: %w", key, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.sent[key] {
		return nil, fmt.Errorf("claim delivery of %s: %w", key, ports.ErrExists)
	}
	if other, ok := d.claims[key]; ok && now.Before(other.ends) {
		return nil, fmt.Errorf("claim delivery of %s: %w", key, ports.ErrClaimed)
	}
	if d.claims == nil {
		d.claims = make(map[domain.NotificationKey]*claim)
	}
	c := &claim{d, key, now.Add(d.ClaimLease())}
	d.claims[key] = c
	return c, nil
}

// List returns what was recorded for the order's events, oldest first.
func (d *Deliveries) List(ctx context.Context, query ports.NotificationQuery) (ports.NotificationPage, error) {
	if err := ctx.Err(); err != nil {
		return ports.NotificationPage{}, fmt.Errorf("list deliveries: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return ports.NotificationPage{Notifications: slices.Clone(d.byOrder[query.OrderID])}, nil
}

func (d *Deliveries) ClaimDue(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
	return nil, errors.ErrUnsupported
}

func (d *Deliveries) ClaimHeld(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error) {
	return nil, errors.ErrUnsupported
}

func (d *Deliveries) Forget(ctx context.Context, userID string) (int, error) {
	return 0, errors.ErrUnsupported
}

func (d *Deliveries) Expire(ctx context.Context, before time.Time, limit int) (int, error) {
	return 0, errors.ErrUnsupported
}

// Record keeps the notification as sent.
func (c *claim) Record(ctx context.Context, n domain.Notification, event domain.Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("record delivery of %s: %w", c.key, err)
	}
	d := c.log
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sent[c.key] {
		return nil
	}
	if d.sent == nil {
		d.sent = make(map[domain.NotificationKey]bool)
		d.byOrder = make(map[domain.OrderID][]domain.Notification)
	}
	d.sent[c.key] = true
	delete(d.claims, c.key)
	list := append(d.byOrder[n.OrderID], n)
	slices.SortStableFunc(list, func(a, b domain.Notification) int { return a.At.Compare(b.At) })
	d.byOrder[n.OrderID] = list
	return nil
}

// Release gives up the claim.
func (c *claim) Release(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("release delivery of %s: %w", c.key, err)
	}
	d := c.log
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.claims[c.key] == c { // otherwise another caller has claimed it since
		delete(d.claims, c.key)
	}
	return nil
}
