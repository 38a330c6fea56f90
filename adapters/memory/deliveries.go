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

// Deliveries is the log of the notifications, and keeps those that wait.
type Deliveries struct {
	Lease time.Duration // how long a claim lasts; 0 or less: DefaultDeliveryLease

	mu    sync.Mutex
	byKey map[domain.NotificationKey]*delivery
	index deliveryIndex

	tallies map[recipient]*tally
}

var _ ports.DeliveryLog = (*Deliveries)(nil)

// delivery is a notification that is claimed or recorded, or both.
type delivery struct {
	key      domain.NotificationKey
	claim    *claim // the latest, even after its lease; nil: it was recorded or released
	recorded bool
	record   domain.Notification
	event    domain.Event // while it waits
}

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

// Claim reserves sending a notification.
func (d *Deliveries) Claim(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("claim delivery of %s: %w", key, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	found, ok := d.byKey[key]
	switch {
	case !ok:
		found = d.add(key)
	case found.recorded && found.record.State != domain.Dead:
		return nil, fmt.Errorf("claim delivery of %s: %w", key, ports.ErrExists)
	case found.isClaimed():
		return nil, fmt.Errorf("claim delivery of %s: %w", key, ports.ErrClaimed)
	}
	return d.take(found), nil
}

// ClaimDue claims notifications whose next try has come.
func (d *Deliveries) ClaimDue(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("claim due deliveries by %s: %w", channel, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.takeWaiting(due(channel), time.Now(), limit), nil
}

// ClaimHeld claims notifications that the pause holds.
func (d *Deliveries) ClaimHeld(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("claim deliveries held by the pause of %s %s: %w", by.Channel, by.Receiver, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.takeWaiting(heldBy(by), forever, limit), nil
}

// forever is after every time that can be written.
var forever = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)

// takeWaiting claims the first unclaimed ones of the list up to the time until. It
// passes only those that other callers have claimed.
func (d *Deliveries) takeWaiting(list listKey, until time.Time, limit int) []ports.WaitingDelivery {
	var taken []ports.WaitingDelivery
	for p := range d.index.lists[list].all() {
		if len(taken) >= limit || p.At.After(until) {
			break
		}
		if found := d.byKey[p.Key]; !found.isClaimed() {
			taken = append(taken, ports.WaitingDelivery{Claim: d.take(found), Notification: clone(found.record), Event: found.event})
		}
	}
	return taken
}

func (d *Deliveries) add(key domain.NotificationKey) *delivery {
	if d.byKey == nil {
		d.byKey = make(map[domain.NotificationKey]*delivery)
	}
	added := &delivery{key: key}
	d.byKey[key] = added
	return added
}

func (d *Deliveries) take(found *delivery) *claim {
	found.claim = &claim{d, found.key, time.Now().Add(d.ClaimLease())}
	return found.claim
}

func (d *delivery) isClaimed() bool { return d.claim != nil && time.Now().Before(d.claim.ends) }

// set replaces the delivery's record.
func (d *Deliveries) set(found *delivery, n domain.Notification, event domain.Event) {
	if found.recorded {
		d.index.remove(found.record)
		d.count(found.record, -1)
	}
	event.Origin = event.Origin.Valid()
	found.recorded, found.record, found.event = true, clone(n), event
	if !n.State.Waits() {
		found.event = domain.Event{}
	}
	d.index.add(found.record)
	d.count(found.record, 1)
}

// Record stores the notification.
func (c *claim) Record(ctx context.Context, n domain.Notification, event domain.Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("record delivery of %s: %w", c.key, err)
	}
	d := c.log
	d.mu.Lock()
	defer d.mu.Unlock()
	found, ok := d.byKey[c.key]
	switch {
	case !ok: // all that is left of it has expired
		found = d.add(c.key)
	case n.State == domain.Sent && found.recorded && found.record.State == domain.Sent:
		return nil
	case n.State != domain.Sent && found.claim != c:
		return nil
	}
	n.EventID, n.Channel, n.Recipient = c.key.EventID, c.key.Channel, c.key.Recipient
	if found.recorded && found.record.State == domain.Dead { // it was replayed
		all := slices.Concat(found.record.Attempts, n.Attempts)
		n.Attempts = all[max(0, len(all)-domain.MaxAttempts):]
	}
	d.set(found, n, event)
	found.claim = nil
	return nil
}

// Release gives the claim back.
func (c *claim) Release(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("release delivery of %s: %w", c.key, err)
	}
	d := c.log
	d.mu.Lock()
	defer d.mu.Unlock()
	found, ok := d.byKey[c.key]
	if !ok || found.claim != c { // another caller has claimed or recorded it since
		return nil
	}
	found.claim = nil
	if !found.recorded {
		delete(d.byKey, c.key)
	}
	return nil
}

// Forget removes what the log knows of the user.
func (d *Deliveries) Forget(ctx context.Context, userID string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("forget a user's deliveries: %w", err)
	}
	if userID == "" {
		return 0, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	places := slices.Collect(d.index.lists[ofUser(userID)].all())
	for _, p := range places {
		found := d.byKey[p.Key]
		n := clone(found.record)
		n.UserID, n.Receiver, n.Reason = "", "", ""
		for i := range n.Attempts {
			n.Attempts[i].Answer = ""
		}
		if n.State.Waits() {
			n.State, n.At, n.NextTry, n.HeldBy = domain.Skipped, now(), time.Time{}, domain.PauseKey{}
			found.claim = nil
		}
		d.set(found, n, domain.Event{})
	}
	return len(places), nil
}

// Expire deletes notifications that have not changed since the time before.
func (d *Deliveries) Expire(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("expire deliveries: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	expired := 0
	for _, p := range d.index.settledBefore(before, limit) {
		found := d.byKey[p.Key]
		if found.isClaimed() { // it was dead, and its event was replayed
			continue
		}
		d.index.remove(found.record)
		if found.record.State == domain.Dead {
			d.tallies[recipient{p.Key.Channel, p.Key.Recipient}].expired++
		}
		delete(d.byKey, p.Key)
		expired++
	}
	return expired, nil
}

func clone(n domain.Notification) domain.Notification {
	n.Attempts = slices.Clone(n.Attempts)
	return n
}
