package sqlite

import (
	"context"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/adapters/internal/accounts"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// What is over is counted by counters, which change in the transactions that change the
// records: once in each, for all of its records. What waits is counted by its index, and
// what is in the outbox by reading it.
const (
	countOrders    = "orders"
	countPublished = "published"
)

// countDelivery changes the counter of the recipient's notifications. What is "expired", or a
// state that notifications stay in.
func (t *tx) countDelivery(what string, key domain.NotificationKey, by int) {
	t.count(what+" "+key.Channel+" "+key.Recipient, by)
}

// countState changes the counter of the state, if it has one.
func (t *tx) countState(state domain.NotificationState, key domain.NotificationKey, by int) {
	if state == domain.Sent || state == domain.Skipped {
		t.countDelivery(string(state), key, by)
	}
}

const countExpired = "expired"

// countLetter changes the counter of the state, if it has one.
func (t *tx) countLetter(state ports.DeadLetterState, id, subscription string, by int) {
	kind := " event "
	if accounts.Unreadable(id) {
		kind = " other "
	}
	if state == ports.Replayed || state == ports.Discarded {
		t.count(string(state)+kind+subscription, by)
	}
}

// Account implements [ports.Outbox].
func (o *Orders) Account(ctx context.Context) (account ports.OutboxAccount, err error) {
	defer describe(&err, "count orders")
	err = o.store.read(ctx, func(tx *tx) error {
		for name, to := range map[string]*int{countOrders: &account.Orders, countPublished: &account.Published} {
			if err := tx.query(func(r row) bool { *to = r.ColumnInt(0); return false }, "SELECT n FROM counters WHERE name = ?", name); err != nil {
				return err
			}
		}
		return tx.query(func(r row) bool {
			account.Waiting = ports.Backlog{N: r.ColumnInt(0), Oldest: r.time(1)}
			return false
		}, "SELECT count(*), min(ordered_at) FROM outbox")
	})
	return account, err
}

// Account implements [ports.DeliveryLog].
func (d *Deliveries) Account(ctx context.Context) (all []ports.DeliveryAccount, err error) {
	defer describe(&err, "count deliveries")
	recipients := make(accounts.Deliveries)
	err = d.store.read(ctx, func(tx *tx) error {
		err := tx.counters(func(what, channel, name string, n int) {
			switch what {
			case string(domain.Sent):
				recipients.Of(channel, name).Sent = n
			case string(domain.Skipped):
				recipients.Of(channel, name).Skipped = n
			case countExpired:
				recipients.Of(channel, name).Expired = n
			}
		})
		if err != nil {
			return err
		}
		return tx.query(func(r row) bool {
			recipients.Wait(r.ColumnText(0), r.ColumnText(1), domain.NotificationState(r.ColumnText(2)), ports.Backlog{N: r.ColumnInt(3), Oldest: r.time(4)})
			return true
		}, "SELECT channel, recipient, state, count(*), min(since) FROM deliveries WHERE since IS NOT NULL GROUP BY channel, recipient, state")
	})
	if err != nil {
		return nil, err
	}
	return recipients.Sorted(), nil
}

// counters calls f with the counters that have names of three words. The last may be
// empty or have spaces.
func (t *tx) counters(f func(first, second, rest string, n int)) error {
	return t.query(func(r row) bool {
		if words := strings.SplitN(r.ColumnText(0), " ", 3); len(words) == 3 {
			f(words[0], words[1], words[2], r.ColumnInt(1))
		}
		return true
	}, "SELECT name, n FROM counters")
}

// Account implements [ports.DeadLetters].
func (d *DeadLetters) Account(ctx context.Context) (all []ports.DeadLetterAccount, err error) {
	defer describe(&err, "count dead letters")
	subscriptions := make(accounts.Letters)
	err = d.store.read(ctx, func(tx *tx) error {
		err := tx.counters(func(state, kind, subscription string, n int) {
			subscriptions.Settle(subscription, kind == "other", ports.DeadLetterState(state), n)
		})
		if err != nil {
			return err
		}
		for kind, ids := range map[string]string{"event": "id < 'unreadable-' OR id >= 'unreadable.'", "other": "id >= 'unreadable-' AND id < 'unreadable.'"} {
			err := tx.query(func(r row) bool {
				subscriptions.Of(r.ColumnText(0), kind == "other").Waiting = ports.Backlog{N: r.ColumnInt(1), Oldest: r.time(2)}
				return true
			}, "SELECT subscription, count(*), min(since) FROM dead_letters WHERE settled_at IS NULL AND ("+ids+") GROUP BY subscription")
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return subscriptions.Sorted(), nil
}

// depth counts the rows of a queue, which begins the condition. The taken ones are few.
func (t *tx) depth(queue string, now time.Time, args ...any) (depth ports.QueueDepth, err error) {
	for _, count := range []struct {
		to   *int
		sql  string
		args []any
	}{
		{&depth.Ready, "owner IS NULL AND due <= ?", []any{now}},
		{&depth.Delayed, "owner IS NULL AND due > ?", []any{now}},
		{&depth.Taken, "owner IS NOT NULL", nil},
	} {
		err := t.query(func(r row) bool { *count.to = r.ColumnInt(0); return false },
			"SELECT count(*) FROM "+queue+count.sql, slices.Concat(args, count.args)...)
		if err != nil {
			return depth, err
		}
	}
	return depth, nil
}

// Depth implements [ports.EventQueue]. It knows the consumers of this process alone.
func (c Consumer) Depth(ctx context.Context) (depth ports.QueueDepth, err error) {
	defer describe(&err, "count the events of subscription %q", c.subscription)
	if err := wire.CheckSubscription(c.subscription); err != nil {
		return depth, err
	}
	exists, err := c.store.hasQueue(ctx, c.subscription)
	if err == nil && !exists {
		err = ports.ErrNotFound
	}
	if err != nil {
		return depth, err
	}
	err = c.store.read(ctx, func(tx *tx) error {
		now := time.Now()
		if depth, err = tx.depth("messages WHERE subscription = ? AND ", now, c.subscription); err != nil {
			return err
		}
		return tx.query(func(r row) bool {
			if message, err := decodeMessage(r.ColumnText(0), r.blob(1)); err == nil {
				event, _ := wire.Decode(message)
				depth.Oldest = event.Time
			}
			return false
		}, "SELECT properties, body FROM messages WHERE subscription = ? AND owner IS NULL AND due <= ? ORDER BY due, id", c.subscription, now)
	})
	if err != nil {
		return ports.QueueDepth{}, err
	}
	depth.Consumers = c.store.consuming.count(c.subscription)
	return depth, nil
}

// Depth implements [ports.DeadLetterQueue]. It knows the drains of this process alone.
func (q DeadLetterQueue) Depth(ctx context.Context) (depth ports.QueueDepth, err error) {
	defer describe(&err, "count dead letters")
	err = q.store.read(ctx, func(tx *tx) error {
		now := time.Now()
		if depth, err = tx.depth("dead_letter_queue WHERE ", now); err != nil {
			return err
		}
		return tx.query(func(r row) bool {
			depth.Oldest = readQueued(r).letter.Failure.LastFailure
			return false
		}, "SELECT id, letter_id, subscription, properties, body, failures FROM dead_letter_queue WHERE owner IS NULL AND due <= ? ORDER BY due, id", now)
	})
	if err != nil {
		return ports.QueueDepth{}, err
	}
	depth.Consumers = q.store.consuming.count(deadLetters)
	return depth, nil
}

// Openings implements [ports.ChannelStates].
func (c *ChannelStates) Openings(ctx context.Context) (openings []ports.Opening, err error) {
	defer describe(&err, "read openings")
	err = c.store.read(ctx, func(tx *tx) error {
		return tx.query(func(r row) bool {
			openings = append(openings, ports.Opening{
				Channel: r.ColumnText(0), Recipient: r.ColumnText(1), At: r.time(2), Before: r.ColumnInt(3), Uncertain: r.ColumnInt(4),
			})
			return true
		}, "SELECT channel, recipient, at, before, uncertain FROM openings ORDER BY channel, recipient")
	})
	return openings, err
}

// Open implements [ports.ChannelStates].
func (c *ChannelStates) Open(ctx context.Context, o ports.Opening) (err error) {
	defer describe(&err, "open %s %s", o.Channel, o.Recipient)
	return c.store.write(ctx, durable, func(tx *tx) error {
		added, err := tx.exec("INSERT INTO openings (channel, recipient, at, before, uncertain) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			o.Channel, o.Recipient, o.At.UnixMilli(), o.Before, o.Uncertain)
		if err == nil && added == 0 {
			err = ports.ErrExists
		}
		return err
	})
}

// Close implements [ports.ChannelStates].
func (c *ChannelStates) Close(ctx context.Context, channel, recipient string) (err error) {
	defer describe(&err, "close %s %s", channel, recipient)
	return c.store.write(ctx, durable, func(tx *tx) error {
		_, err := tx.exec("DELETE FROM openings WHERE channel = ? AND recipient = ?", channel, recipient)
		return err
	})
}

// Holder implements [ports.Outbox].
func (o *Orders) Holder(ctx context.Context, id domain.EventID) (holder ports.Holder, err error) {
	defer describe(&err, "find event %s", id)
	order, _ := id.OrderID()
	found := false
	err = o.store.read(ctx, func(tx *tx) error {
		now := time.Now()
		return tx.query(func(r row) bool {
			found = true
			if until := r.time(1); until.After(now) && !until.After(now.Add(o.ClaimLease()+ports.MaxReleaseDelay)) {
				holder = holderOf(r, until)
			}
			return false
		}, "SELECT owner, free_at FROM outbox WHERE order_id = ?", string(order))
	})
	if err == nil && !found {
		err = ports.ErrNotFound
	}
	return holder, err
}

// Holder implements [ports.DeliveryLog].
func (d *Deliveries) Holder(ctx context.Context, key domain.NotificationKey) (holder ports.Holder, err error) {
	defer describe(&err, "find the claim on %s", deliveryID(key))
	err = d.store.read(ctx, func(tx *tx) error {
		now := time.Now()
		return tx.query(func(r row) bool {
			if until := r.time(1); !until.Before(now) && !until.After(latestEnd(now, d.ClaimLease())) {
				holder = holderOf(r, until)
			}
			return false
		}, "SELECT owner, ends FROM delivery_claims WHERE "+isDelivery, keyArgs(key)...)
	})
	return holder, err
}

// holderOf reads a row that begins with the owner. An event without one was released until
// later.
func holderOf(r row, until time.Time) ports.Holder {
	holder := ports.Holder{Until: until}
	if owner := r.ColumnInt64(0); owner != 0 {
		holder.Process = ownerName(owner)
	}
	return holder
}
