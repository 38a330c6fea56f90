package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func brokenRecords() []broken[porttest.DeliveryLog] {
	ranOut := func(c *faultyClaim) bool { return time.Since(c.at) >= lease }
	return []broken[porttest.DeliveryLog]{
		{name: "Record fails after the claim has run out", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
				if ranOut(c) {
					return fmt.Errorf("record delivery of %s: %w", c.event, ports.ErrClaimed)
				}
				return c.DeliveryClaim.Record(ctx, n)
			}
		}), fails: []string{
			"Record holds after the claim has run out",
			"Record after another's keeps the first",
			"of many that record at once the record of one stays",
		}},

		{name: "Record passes over a claim that has run out", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
				if ranOut(c) {
					return ctx.Err()
				}
				return c.DeliveryClaim.Record(ctx, n)
			}
		}), fails: []string{
			"Record holds after the claim has run out",
		}},

		{name: "a second Record fails", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			var recorded sync.Map
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
				if ctx.Err() == nil {
					if _, again := recorded.LoadOrStore([2]string{string(c.event), c.channel}, true); again {
						return fmt.Errorf("record delivery of %s: %w", c.event, ports.ErrExists)
					}
				}
				return c.DeliveryClaim.Record(ctx, n)
			}
		}), fails: []string{
			"Record after another's keeps the first",
			"of many that record at once the record of one stays",
		}},

		{name: "the last Record wins", open: overlaid(func(kept []domain.Notification, n domain.Notification) []domain.Notification {
			kept = slices.DeleteFunc(kept, func(k domain.Notification) bool {
				return k.EventID == n.EventID && k.Channel == n.Channel
			})
			return append(kept, n)
		}), fails: []string{
			"Record after another's keeps the first",
		}},

		{name: "every Record is kept", open: overlaid(func(kept []domain.Notification, n domain.Notification) []domain.Notification {
			return append(kept, n)
		}), fails: []string{
			"Record after another's keeps the first",
			"of many that record at once the record of one stays",
		}},

		{name: "Record looks, and then writes", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			var mu sync.Mutex
			byOrder := map[domain.OrderID][]domain.Notification{}
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
				mu.Lock()
				there := slices.ContainsFunc(byOrder[n.OrderID], func(k domain.Notification) bool {
					return k.EventID == n.EventID && k.Channel == n.Channel
				})
				mu.Unlock()
				time.Sleep(time.Millisecond)
				err := c.DeliveryClaim.Record(ctx, n)
				mu.Lock()
				defer mu.Unlock()
				if !there && err == nil {
					byOrder[n.OrderID] = append(byOrder[n.OrderID], n)
				}
				return err
			}
			l.list = listing(&mu, byOrder)
		}), fails: []string{
			"of many that record at once the record of one stays",
		}},

		{name: "Record keeps times to the second", open: overlaid(func(kept []domain.Notification, n domain.Notification) []domain.Notification {
			if slices.ContainsFunc(kept, func(k domain.Notification) bool { return k.EventID == n.EventID && k.Channel == n.Channel }) {
				return kept
			}
			n.SentAt = n.SentAt.Truncate(time.Second)
			return append(kept, n)
		}), fails: []string{
			"List returns what was recorded with every field as it was",
		}, more: true},

		{name: "Record keeps attempts in two digits", open: overlaid(func(kept []domain.Notification, n domain.Notification) []domain.Notification {
			if slices.ContainsFunc(kept, func(k domain.Notification) bool { return k.EventID == n.EventID && k.Channel == n.Channel }) {
				return kept
			}
			n.Attempt = min(n.Attempt, 99)
			return append(kept, n)
		}), fails: []string{
			"List returns what was recorded with every field as it was",
		}},

		{name: "Record keeps and then fails on an ended context", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
				return errors.Join(ctx.Err(), c.DeliveryClaim.Record(context.WithoutCancel(ctx), n))
			}
		}), fails: []string{
			"Record with an ended context records nothing",
		}},

		{name: "Release waits for the lease", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			l.release = func(ctx context.Context, c *faultyClaim) error { return ctx.Err() }
		}), fails: []string{
			"Release lets the next claim at once",
			"Release done twice does nothing to the next one's claim",
		}},

		{name: "Release frees whatever claim there is", open: freeing(func(c *faultyClaim) bool { return true }), fails: []string{
			"Release of a claim that has run out does nothing to the next one's",
			"Release done twice does nothing to the next one's claim",
		}},

		{name: "Release twice frees the next one's claim", open: freeing(func(c *faultyClaim) bool { return !ranOut(c) }), fails: []string{
			"Release done twice does nothing to the next one's claim",
		}},

		{name: "Release takes the record back", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			var released sync.Map
			l.release = func(ctx context.Context, c *faultyClaim) error {
				released.Store(c.event, true)
				return c.DeliveryClaim.Release(ctx)
			}
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				c, err := whole.Claim(ctx, event, channel)
				if _, ok := released.Load(event); ok && errors.Is(err, ports.ErrExists) {
					return new(memory.Deliveries).Claim(ctx, event, channel)
				}
				return c, err
			}
		}), fails: []string{
			"Release after Record does nothing",
		}},

		{name: "Release of what has run out fails", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			l.release = func(ctx context.Context, c *faultyClaim) error {
				if ranOut(c) {
					return fmt.Errorf("release delivery of %s: %w", c.event, ports.ErrNotFound)
				}
				return c.DeliveryClaim.Release(ctx)
			}
		}), fails: []string{
			"Release of a claim that has run out does nothing to the next one's",
			"Release after Record does nothing",
		}},

		{name: "Release releases and then fails on an ended context", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			l.release = func(ctx context.Context, c *faultyClaim) error {
				return errors.Join(ctx.Err(), c.DeliveryClaim.Release(context.WithoutCancel(ctx)))
			}
		}), fails: []string{
			"Release with an ended context releases nothing",
		}},
	}
}

// freeing makes a log whose Release, where it may, frees the claim that the
// event's notification is under, whosever it is.
func freeing(may func(c *faultyClaim) bool) func() porttest.DeliveryLog {
	return faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
		var current sync.Map
		l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
			c, err := whole.Claim(ctx, event, channel)
			if err == nil {
				current.Store(event, c)
			}
			return c, err
		}
		l.release = func(ctx context.Context, c *faultyClaim) error {
			if now, ok := current.Load(c.event); ok && may(c) {
				return now.(ports.DeliveryClaim).Release(ctx)
			}
			return c.DeliveryClaim.Release(ctx)
		}
	})
}

// overlaid makes a log that keeps notifications in a list of its own, as keep
// would have it.
func overlaid(keep func(kept []domain.Notification, n domain.Notification) []domain.Notification) func() porttest.DeliveryLog {
	return faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
		var mu sync.Mutex
		byOrder := map[domain.OrderID][]domain.Notification{}
		l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
			mu.Lock()
			defer mu.Unlock()
			err := c.DeliveryClaim.Record(ctx, n)
			if err == nil {
				byOrder[n.OrderID] = keep(byOrder[n.OrderID], n)
			}
			return err
		}
		l.list = listing(&mu, byOrder)
	})
}

func listing(mu *sync.Mutex, byOrder map[domain.OrderID][]domain.Notification) func(context.Context, domain.OrderID) (ports.NotificationList, error) {
	return func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
		mu.Lock()
		defer mu.Unlock()
		list := slices.SortedStableFunc(slices.Values(byOrder[order]), func(a, b domain.Notification) int {
			return a.SentAt.Compare(b.SentAt)
		})
		return ports.NotificationList{Notifications: list}, ctx.Err()
	}
}
