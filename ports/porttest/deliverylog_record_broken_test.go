package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func brokenRecords() []broken[porttest.DeliveryLog] {
	const (
		fields  = "Record keeps every field as it was"
		late    = "Record works after the claim has run out"
		second  = "Record after another caller's keeps the first record"
		callers = "Record by many callers keeps one record"
		ended   = "Record with an ended context records nothing"
		several = "many callers record a delivery too"
	)
	return []broken[porttest.DeliveryLog]{
		{"Record fails after the claim has run out", late, "other clauses record late", recording(func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
			if c.ranOut() {
				return fmt.Errorf("record delivery of %s: %w", c.event, ports.ErrClaimed)
			}
			return c.DeliveryClaim.Record(ctx, n)
		})},
		{"Record does nothing after the claim has run out", late, "", recording(func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
			if c.ranOut() {
				return ctx.Err()
			}
			return c.DeliveryClaim.Record(ctx, n)
		})},
		{"a second Record fails", second, several, faultyDeliveries(func(l *faultyLog) {
			var recorded shared[[2]string, bool]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
				if ctx.Err() == nil {
					if _, again := recorded.once([2]string{string(c.event), c.channel}, true); again {
						return fmt.Errorf("record delivery of %s: %w", c.event, ports.ErrExists)
					}
				}
				return c.DeliveryClaim.Record(ctx, n)
			}
		})},
		{"the last Record stays", second, "", keepingRecords(func(kept []domain.Notification, n domain.Notification) []domain.Notification {
			return append(slices.DeleteFunc(kept, sameDelivery(n)), n)
		}, ofOrder)},
		{"every Record stays", second, several, keepingRecords(func(kept []domain.Notification, n domain.Notification) []domain.Notification {
			return append(kept, n)
		}, ofOrder)},
		{"Record looks, and then writes", callers, "", faultyDeliveries(func(l *faultyLog) {
			var own shared[domain.OrderID, []domain.Notification]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
				kept, _ := own.get(n.OrderID)
				there := slices.ContainsFunc(kept, sameDelivery(n))
				time.Sleep(time.Millisecond)
				err := c.DeliveryClaim.Record(ctx, n)
				if !there && err == nil {
					own.do(func(own map[domain.OrderID][]domain.Notification) { own[n.OrderID] = append(own[n.OrderID], n) })
				}
				return err
			}
			l.list = func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
				kept, _ := own.get(order)
				return ports.NotificationList{Notifications: ofOrder(slices.Clone(kept), order)}, ctx.Err()
			}
		})},
		{"Record keeps times to the second", fields, "every clause that lists records", keepingRecords(func(kept []domain.Notification, n domain.Notification) []domain.Notification {
			n.SentAt = n.SentAt.Truncate(time.Second)
			return keepFirst(kept, n)
		}, ofOrder)},
		{"Record keeps attempts in two digits", fields, "", keepingRecords(func(kept []domain.Notification, n domain.Notification) []domain.Notification {
			n.Attempt = min(n.Attempt, 99)
			return keepFirst(kept, n)
		}, ofOrder)},
		{"Record records and then fails on an ended context", ended, "", faultyDeliveries(func(l *faultyLog) { checkContextLast(&l.record) })},
	}
}

// freeing makes a log whose Release frees the event's current claim, of any holder,
// if may reports true.
func freeing(may func(c *faultyClaim) bool) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) {
		var current shared[domain.EventID, ports.DeliveryClaim]
		l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
			c, err := l.whole.Claim(ctx, event, channel)
			if err == nil {
				current.set(event, c)
			}
			return c, err
		}
		l.release = func(ctx context.Context, c *faultyClaim) error {
			if now, ok := current.get(c.event); ok && may(c) {
				return now.Release(ctx)
			}
			return c.DeliveryClaim.Release(ctx)
		}
	})
}

func brokenDeliveryReleases() []broken[porttest.DeliveryLog] {
	const (
		frees    = "Release frees the delivery for the next caller at once"
		recorded = "Release after Record does nothing"
		late     = "Release of a claim that has run out leaves the next caller's claim"
		second   = "a second Release leaves the next caller's claim"
	)
	return []broken[porttest.DeliveryLog]{
		{"Release waits for the lease", frees, "other clauses release and claim again", releasingDelivery(func(ctx context.Context, _ *faultyClaim) error {
			return ctx.Err()
		})},
		{"Release frees any claim", late, "a second Release frees one too", freeing(func(*faultyClaim) bool { return true })},

		{"a second Release frees the next caller's claim", second, "", freeing(func(c *faultyClaim) bool { return !c.ranOut() })},
		{"Release removes the record", recorded, "", faultyDeliveries(func(l *faultyLog) {
			var released shared[domain.EventID, bool]
			l.release = func(ctx context.Context, c *faultyClaim) error {
				released.set(c.event, true)
				return c.DeliveryClaim.Release(ctx)
			}
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				c, err := l.whole.Claim(ctx, event, channel)
				if _, ok := released.get(event); ok && errors.Is(err, ports.ErrExists) {
					return new(memory.Deliveries).Claim(ctx, event, channel)
				}
				return c, err
			}
		})},
		{"Release of a claim that has run out fails", late, "other clauses release late", releasingDelivery(func(ctx context.Context, c *faultyClaim) error {
			if c.ranOut() {
				return fmt.Errorf("release delivery of %s: %w", c.event, ports.ErrNotFound)
			}
			return c.DeliveryClaim.Release(ctx)
		})},
		{"Release releases and then fails on an ended context", "Release with an ended context releases nothing", "", faultyDeliveries(func(l *faultyLog) { checkContextLast(&l.release) })},
	}
}
