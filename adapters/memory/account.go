package memory

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"example.com/orderflow/adapters/internal/accounts"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Account implements [ports.Outbox].
func (o *Orders) Account(ctx context.Context) (ports.OutboxAccount, error) {
	if err := ctx.Err(); err != nil {
		return ports.OutboxAccount{}, fmt.Errorf("count orders: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	account := ports.OutboxAccount{Orders: len(o.orders), Published: o.published, Waiting: ports.Backlog{N: len(o.waiting)}}
	for oldest := range o.waitingSince.backward() { // the newest comes first
		account.Waiting.Oldest = oldest.CreatedAt
		break
	}
	return account, nil
}

// process is the name of the only process.
const process = "this process"

// Holder implements [ports.Outbox].
func (o *Orders) Holder(ctx context.Context, id domain.EventID) (ports.Holder, error) {
	if err := ctx.Err(); err != nil {
		return ports.Holder{}, fmt.Errorf("find event %s: %w", id, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	u, ok := o.waiting[id]
	switch {
	case !ok:
		return ports.Holder{}, fmt.Errorf("find event %s: %w", id, ports.ErrNotFound)
	case !u.freeAt.After(time.Now()):
		return ports.Holder{}, nil
	}
	return ports.Holder{Process: process, Until: domain.TruncateTime(u.freeAt)}, nil
}

// Holder implements [ports.DeliveryLog].
func (d *Deliveries) Holder(ctx context.Context, key domain.NotificationKey) (ports.Holder, error) {
	if err := ctx.Err(); err != nil {
		return ports.Holder{}, fmt.Errorf("find the claim on %s: %w", key, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	found, ok := d.byKey[key]
	if !ok || !found.isClaimed() {
		return ports.Holder{}, nil
	}
	return ports.Holder{Process: process, Until: domain.TruncateTime(found.claim.ends)}, nil
}

// recipient is who gets notifications by a channel.
type recipient struct{ channel, name string }

// tally counts a recipient's notifications that are not in the lists of deliveryIndex, or
// are too many there.
type tally struct{ sent, skipped, expired int }

// count changes the tally of the notification's recipient, if its state has one.
func (d *Deliveries) count(n domain.Notification, by int) {
	if d.tallies == nil {
		d.tallies = make(map[recipient]*tally)
	}
	key := recipient{n.Channel, n.Recipient}
	if d.tallies[key] == nil {
		d.tallies[key] = new(tally)
	}
	switch n.State {
	case domain.Sent:
		d.tallies[key].sent += by
	case domain.Skipped:
		d.tallies[key].skipped += by
	}
}

// Account implements [ports.DeliveryLog].
func (d *Deliveries) Account(ctx context.Context) ([]ports.DeliveryAccount, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("count deliveries: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	recipients := make(accounts.Deliveries)
	for key, t := range d.tallies {
		account := recipients.Of(key.channel, key.name)
		account.Sent, account.Skipped, account.Expired = t.sent, t.skipped, t.expired
		for _, state := range []domain.NotificationState{domain.Retrying, domain.Held, domain.Dead} {
			list := d.index.lists[openOf(key.channel, key.name, state)]
			for oldest := range list.all() {
				recipients.Wait(key.channel, key.name, state, ports.Backlog{N: list.len(), Oldest: oldest.At})
				break
			}
		}
	}
	return recipients.Sorted(), nil
}

// openOf names the list of a recipient's notifications that are retried, held or dead, by
// the time since when.
func openOf(channel, recipient string, state domain.NotificationState) listKey {
	return listKey{byRecipient, channel, string(state) + " " + recipient}
}

// letterGroup are the letters that are counted together.
type letterGroup struct {
	subscription string
	unreadable   bool
}

func groupOf(record *letterRecord) letterGroup {
	return letterGroup{record.Subscription, accounts.Unreadable(record.ID)}
}

// Account implements [ports.DeadLetters].
func (d *DeadLetters) Account(ctx context.Context) ([]ports.DeadLetterAccount, error) {
	if err := d.begin(ctx); err != nil {
		return nil, fmt.Errorf("count dead letters: %w", err)
	}
	defer d.mu.Unlock()
	subscriptions := make(accounts.Letters)
	for _, record := range d.sorted {
		group := groupOf(record)
		subscriptions.Settle(group.subscription, group.unreadable, record.State, 1)
		if waiting := &subscriptions.Of(group.subscription, group.unreadable).Waiting; record.State == ports.Waiting {
			waiting.N++
			waiting.Oldest = cmp.Or(waiting.Oldest, record.Since)
		}
	}
	for was, n := range d.forgotten {
		subscriptions.Settle(was.subscription, was.unreadable, was.state, n)
	}
	return subscriptions.Sorted(), nil
}

// settledLetters are letters whose retention is over.
type settledLetters struct {
	letterGroup
	state ports.DeadLetterState
}

// Depth implements [ports.EventQueue].
func (c Consumer) Depth(ctx context.Context) (ports.QueueDepth, error) {
	q := c.broker.queue(c.subscription)
	if err := cmp.Or(ctx.Err(), wire.CheckSubscription(c.subscription)); err != nil {
		return ports.QueueDepth{}, fmt.Errorf("count events: %w", err)
	}
	if q == nil {
		return ports.QueueDepth{}, fmt.Errorf("count events: queue of subscription %q: %w", c.subscription, ports.ErrNotFound)
	}
	return q.depth(func(m message) time.Time {
		event, _ := wire.Decode(m.Message)
		return event.Time
	}), nil
}

// Depth implements [ports.DeadLetterQueue].
func (q DeadLetterQueue) Depth(ctx context.Context) (ports.QueueDepth, error) {
	if err := ctx.Err(); err != nil {
		return ports.QueueDepth{}, fmt.Errorf("count dead letters: %w", err)
	}
	return q.broker.dead.depth(func(letter ports.DeadLetter) time.Time { return letter.Failure.LastFailure }), nil
}
