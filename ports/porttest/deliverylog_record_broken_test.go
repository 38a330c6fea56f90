package porttest_test

import (
	"cmp"
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

// fieldsOfNotifications has a function for each field that a log may lose.
var fieldsOfNotifications = map[string]func(n *domain.Notification){
	"user":                    func(n *domain.Notification) { n.UserID = "" },
	"reason":                  func(n *domain.Notification) { n.Reason = "" },
	"time's milliseconds":     func(n *domain.Notification) { n.At = n.At.Truncate(time.Second) },
	"pause's receiver":        func(n *domain.Notification) { n.HeldBy.Receiver = "" },
	"receiver":                func(n *domain.Notification) { n.Receiver = "" },
	"time of first try":       func(n *domain.Notification) { n.First = time.Time{} },
	"attempts over 99":        func(n *domain.Notification) { n.Attempt = min(n.Attempt, 99) },
	"oldest attempts":         func(n *domain.Notification) { n.Attempts = n.Attempts[max(len(n.Attempts)-10, 0):] },
	"attempts' durations":     eachAttempt(func(a *domain.Attempt) { a.Duration = 0 }),
	"attempts' answers' ends": eachAttempt(func(a *domain.Attempt) { a.Answer = a.Answer[:min(len(a.Answer), 512)] }),
}

func eachAttempt(change func(a *domain.Attempt)) func(n *domain.Notification) {
	return func(n *domain.Notification) {
		for i := range n.Attempts {
			change(&n.Attempts[i])
		}
	}
}

func brokenRecords() []broken[porttest.DeliveryLog] {
	const (
		fields   = "Record keeps every field as it was"
		replaces = "Record replaces the notification that was recorded before"
		dead     = "Record keeps the attempts of a dead notification, up to the latest MaxAttempts"
		again    = "clauses that record a dead delivery, or record one again"
		late     = "Record works after the claim has run out"
		sent     = "Record of a sent delivery works although another caller has claimed or recorded it"
		others   = "Record of any other state changes nothing after another caller has claimed or recorded the delivery"
		first    = "Record of a sent delivery keeps the first such record"
		callers  = "Record by many callers keeps one record"
		memory   = "Record and List of deliveries share no memory with their caller"
		ended    = "Record with an ended context records nothing"
		several  = "many callers record a delivery too"
		records  = "every clause that records late"
		every    = "every clause that looks at the field"
		origin   = "Record keeps the event's origin while the notification waits, without the fields that break a rule"
	)
	var table []broken[porttest.DeliveryLog]
	for field, lose := range fieldsOfNotifications {
		table = append(table, broken[porttest.DeliveryLog]{"a notification loses its " + field, fields, every, recordingAs(lose)})
	}
	return append(table, []broken[porttest.DeliveryLog]{
		{"Record forgets the event's origin", origin, "every clause that claims a waiting delivery", recording(func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
			event.Origin = domain.Origin{}
			return c.DeliveryClaim.Record(ctx, n, event)
		})},
		{"an empty receiver leaves the one before", replaces, "", faultyDeliveries(func(l *faultyLog) {
			var receivers shared[domain.NotificationKey, string]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				before, _ := receivers.get(c.key)
				n.Receiver = cmp.Or(n.Receiver, before)
				receivers.set(c.key, n.Receiver)
				return c.DeliveryClaim.Record(ctx, n, event)
			}
		})},
		{"attempts are added to those before", replaces, again, faultyDeliveries(func(l *faultyLog) {
			var attempts shared[domain.NotificationKey, []domain.Attempt]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				before, _ := attempts.get(c.key)
				n.Attempts = slices.Concat(before, n.Attempts)
				attempts.set(c.key, n.Attempts)
				return c.DeliveryClaim.Record(ctx, n, event)
			}
		})},
		{"the attempts of a dead notification are lost", dead, again, faultyDeliveries(func(l *faultyLog) {
			var recorded shared[domain.NotificationKey, domain.Notification]
			record, list := l.record, l.list
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				err := record(ctx, c, n, event)
				if before, _ := recorded.get(c.key); err == nil && before.State == domain.Dead || n.State == domain.Dead {
					recorded.set(c.key, n)
				}
				return err
			}
			l.list = func(ctx context.Context, query ports.NotificationQuery) (ports.NotificationPage, error) {
				page, err := list(ctx, query)
				for i, n := range page.Notifications {
					if last, ok := recorded.get(n.Key()); ok && last.State == n.State {
						page.Notifications[i].Attempts = slices.Clone(last.Attempts)
					}
				}
				return page, err
			}
		})},
		{"a dead notification keeps more than MaxAttempts", dead, again, faultyDeliveries(func(l *faultyLog) {
			var all shared[domain.NotificationKey, []domain.Attempt]
			record, list := l.record, l.list
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				if n.State == domain.Dead {
					before, _ := all.get(c.key)
					all.set(c.key, slices.Concat(before, n.Attempts))
				}
				return record(ctx, c, n, event)
			}
			l.list = func(ctx context.Context, query ports.NotificationQuery) (ports.NotificationPage, error) {
				page, err := list(ctx, query)
				for i, n := range page.Notifications {
					if attempts, ok := all.get(n.Key()); ok && n.State == domain.Dead {
						page.Notifications[i].Attempts = attempts
					}
				}
				return page, err
			}
		})},
		{"Record fails after the claim has run out", late, records, recording(func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
			if c.ranOut() {
				return fmt.Errorf("record delivery of %s: %w", c.key, ports.ErrClaimed)
			}
			return c.DeliveryClaim.Record(ctx, n, event)
		})},
		{"Record does nothing after the claim has run out", late, records, recording(func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
			if c.ranOut() {
				return ctx.Err()
			}
			return c.DeliveryClaim.Record(ctx, n, event)
		})},
		{"Record of a sent delivery does nothing after another caller has claimed it", sent, "late claims that are due", recording(func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
			if c.ranOut() {
				if _, err := c.log.whole.Claim(ctx, c.key); errors.Is(err, ports.ErrClaimed) || errors.Is(err, ports.ErrExists) {
					return ctx.Err()
				}
			}
			return c.DeliveryClaim.Record(ctx, n, event)
		})},
		{"Record of any other state replaces a sent delivery", sent, "late claims that are due", forcing(func(_ *faultyClaim, before, n domain.Notification) bool {
			return before.State == domain.Sent && n.State != domain.Sent
		})},
		{"a late Record of any state replaces another caller's", others, "late claims that are due", forcing(func(c *faultyClaim, before, n domain.Notification) bool {
			return c.ranOut() && before.State != "" && before.State != domain.Sent && n.State != domain.Sent
		})},
		{"a second Record of a sent delivery fails", first, several, faultyDeliveries(func(l *faultyLog) {
			var recorded shared[domain.NotificationKey, bool]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				if ctx.Err() == nil && n.State == domain.Sent {
					if _, again := recorded.once(c.key, true); again {
						return fmt.Errorf("record delivery of %s: %w", c.key, ports.ErrExists)
					}
				}
				return c.DeliveryClaim.Record(ctx, n, event)
			}
		})},
		{"the last Record of a sent delivery stays", first, "", forcing(func(_ *faultyClaim, before, n domain.Notification) bool {
			return before.State == domain.Sent && n.State == domain.Sent
		})},
		{"Record looks, and then writes", callers, "", faultyDeliveries(func(l *faultyLog) {
			var own shared[domain.NotificationKey, []domain.Notification]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				kept, _ := own.get(c.key)
				there := len(kept) > 0
				time.Sleep(time.Millisecond)
				err := c.DeliveryClaim.Record(ctx, n, event)
				if !there && err == nil && n.State == domain.Sent {
					own.do(func(own map[domain.NotificationKey][]domain.Notification) { own[c.key] = append(own[c.key], n) })
				}
				return err
			}
			changeResult(&l.list, func(page *ports.NotificationPage, _ ports.NotificationQuery) {
				for _, n := range page.Notifications {
					if kept, _ := own.get(n.Key()); len(kept) > 1 {
						page.Notifications = append(page.Notifications, kept[1:]...)
					}
				}
			})
		})},
		{"Record keeps the caller's attempts", memory, "", faultyDeliveries(func(l *faultyLog) {
			var attempts shared[domain.NotificationKey, []domain.Attempt]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				attempts.set(c.key, n.Attempts)
				return c.DeliveryClaim.Record(ctx, n, event)
			}
			changeResult(&l.list, func(page *ports.NotificationPage, _ ports.NotificationQuery) {
				for i, n := range page.Notifications {
					if own, _ := attempts.get(n.Key()); len(own) > 3 && len(own) == len(n.Attempts) {
						page.Notifications[i].Attempts = slices.Clone(own)
					}
				}
			})
		})},
		{"List of deliveries returns its own slices", memory, "other clauses list more than a page", faultyDeliveries(func(l *faultyLog) {
			var lists shared[domain.OrderID, []domain.Notification]
			changeResult(&l.list, func(page *ports.NotificationPage, query ports.NotificationQuery) {
				if own, _ := lists.get(query.OrderID); len(own) < 5 || len(own) != len(page.Notifications) {
					lists.set(query.OrderID, page.Notifications)
				}
				page.Notifications, _ = lists.get(query.OrderID)
			})
		})},
		{"Record records and then fails on an ended context", ended, "", faultyDeliveries(func(l *faultyLog) { checkContextLast(&l.record) })},
	}...)
}

// freeing makes a log whose Release frees the notification's current claim, of any
// holder, if may reports true.
func freeing(may func(c *faultyClaim) bool) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) {
		var current shared[domain.NotificationKey, ports.DeliveryClaim]
		l.claim = func(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
			c, err := l.whole.Claim(ctx, key)
			if err == nil {
				current.set(key, c)
			}
			return c, err
		}
		remember := func(claimed *[]ports.WaitingDelivery) {
			for _, c := range *claimed {
				current.set(c.Notification.Key(), c.Claim)
			}
		}
		changeClaimed(l, func(_ string, claimed *[]ports.WaitingDelivery) { remember(claimed) })
		l.release = func(ctx context.Context, c *faultyClaim) error {
			if now, ok := current.get(c.key); ok && may(c) {
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
		{"Release frees any claim", late, "other clauses release twice, or late", freeing(func(*faultyClaim) bool { return true })},

		{"a second Release frees the next caller's claim", second, "", freeing(func(c *faultyClaim) bool { return !c.ranOut() })},
		{"Release removes the record", recorded, "", faultyDeliveries(func(l *faultyLog) {
			var released shared[domain.NotificationKey, bool]
			l.release = func(ctx context.Context, c *faultyClaim) error {
				released.set(c.key, c.by == "Claim")
				return c.DeliveryClaim.Release(ctx)
			}
			l.claim = func(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
				c, err := l.whole.Claim(ctx, key)
				if was, _ := released.get(key); was && errors.Is(err, ports.ErrExists) {
					return new(memory.Deliveries).Claim(ctx, key)
				}
				return c, err
			}
		})},
		{"Release of a claim that has run out fails", late, "other clauses release late", releasingDelivery(func(ctx context.Context, c *faultyClaim) error {
			if c.ranOut() {
				return fmt.Errorf("release delivery of %s: %w", c.key, ports.ErrNotFound)
			}
			return c.DeliveryClaim.Release(ctx)
		})},
		{"Release releases and then fails on an ended context", "Release with an ended context releases nothing", "", faultyDeliveries(func(l *faultyLog) { checkContextLast(&l.release) })},
	}
}
