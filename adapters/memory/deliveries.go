package memory

import (
	"context"
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
	claims  map[deliveryKey]*claim // the latest of each delivery, even after its lease
	sent    map[deliveryKey]bool
	byOrder map[domain.OrderID][]domain.Notification
}

var _ ports.DeliveryLog = (*Deliveries)(nil)

type deliveryKey struct {
	event   domain.EventID
	channel string
}

func (k deliveryKey) String() string { return fmt.Sprintf("event %s by %q", k.event, k.channel) }

type claim struct {
	log  *Deliveries
	key  deliveryKey
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
func (d *Deliveries) Claim(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
	key := deliveryKey{event, channel}
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
		d.claims = make(map[deliveryKey]*claim)
	}
	c := &claim{d, key, now.Add(d.ClaimLease())}
	d.claims[key] = c
	return c, nil
}

// List returns what was recorded for the order's events, oldest first.
func (d *Deliveries) List(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
	if err := ctx.Err(); err != nil {
		return ports.NotificationList{}, fmt.Errorf("list deliveries of order %s: %w", order, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return ports.NotificationList{Notifications: slices.Clone(d.byOrder[order])}, nil
}

// Record keeps the notification as sent.
func (c *claim) Record(ctx context.Context, n domain.Notification) error {
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
		d.sent = make(map[deliveryKey]bool)
		d.byOrder = make(map[domain.OrderID][]domain.Notification)
	}
	d.sent[c.key] = true
	delete(d.claims, c.key)
	list := append(d.byOrder[n.OrderID], n)
	slices.SortStableFunc(list, func(a, b domain.Notification) int { return a.SentAt.Compare(b.SentAt) })
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
