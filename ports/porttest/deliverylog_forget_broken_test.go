package porttest_test

import (
	"context"
	"strings"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// forgettingDeliveries makes a log with another Forget.
func forgettingDeliveries(forget func(l *faultyLog, ctx context.Context, userID string) (int, error)) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) {
		l.forget = func(ctx context.Context, userID string) (int, error) { return forget(l, ctx, userID) }
	})
}

// expiring makes a log with another Expire.
func expiring(expire func(l *faultyLog, ctx context.Context, before time.Time, limit int) (int, error)) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) {
		l.expire = func(ctx context.Context, before time.Time, limit int) (int, error) {
			return expire(l, ctx, before, limit)
		}
	})
}

// afterForget makes a log that changes what it lists after a Forget of a user whose
// notifications it has.
func afterForget(change func(n *domain.Notification)) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) {
		var forgotten shared[string, bool]
		l.forget = func(ctx context.Context, userID string) (int, error) {
			count, err := l.whole.Forget(ctx, userID)
			if count > 0 {
				forgotten.set("", true)
			}
			return count, err
		}
		changeResult(&l.list, func(page *ports.NotificationPage, _ ports.NotificationQuery) {
			for i := range page.Notifications {
				if done, _ := forgotten.get(""); done && page.Notifications[i].UserID == "" {
					change(&page.Notifications[i])
				}
			}
		})
	})
}

func brokenDeliveryForgetting() []broken[porttest.DeliveryLog] {
	const (
		empties = "Forget empties user, receivers, reasons and answers of the user's deliveries, and changes no others"
		nobody  = "Forget of a user that the log does not know, or of an empty one, changes nothing"
		waits   = "Forget ends the waiting of the user's deliveries, and their claims"
		ended   = "Forget with an ended context changes nothing"
		forgets = "every clause that forgets a user"
	)
	return []broken[porttest.DeliveryLog]{
		{"Forget leaves the answers", empties, "", afterForget(func(n *domain.Notification) {
			for i := range n.Attempts {
				n.Attempts[i].Answer = "250 ok"
			}
		})},
		{"Forget removes the attempts", empties, "", afterForget(func(n *domain.Notification) { n.Attempts = nil })},

		{"Forget leaves the receivers of sent deliveries", empties, "", afterForget(func(n *domain.Notification) {
			if n.State == domain.Sent {
				n.Receiver = "ann.example.com#0a1b2c3d"
			}
		})},

		{"Forget leaves the reasons of dead deliveries", empties, "", afterForget(func(n *domain.Notification) {
			if n.State == domain.Dead {
				n.Reason = "no such mailbox: ann@example.com"
			}
		})},
		{"Forget forgets users in any case", empties, "", forgettingDeliveries(func(l *faultyLog, ctx context.Context, userID string) (int, error) {
			count, err := l.whole.Forget(ctx, userID)
			if err == nil && userID != "" {
				_, err = l.whole.Forget(ctx, strings.ToUpper(userID[:1])+userID[1:])
			}
			return count, err
		})},
		{"Forget counts one more", empties, forgets, forgettingDeliveries(func(l *faultyLog, ctx context.Context, userID string) (int, error) {
			count, err := l.whole.Forget(ctx, userID)
			return count + 1, err
		})},
		{"Forget of an empty user changes deliveries without a user", nobody, "", faultyDeliveries(func(l *faultyLog) {
			var forgotten shared[string, bool]
			l.forget = func(ctx context.Context, userID string) (int, error) {
				forgotten.set(userID, true)
				return l.whole.Forget(ctx, userID)
			}
			changeResult(&l.list, func(page *ports.NotificationPage, _ ports.NotificationQuery) {
				for i, n := range page.Notifications {
					if all, _ := forgotten.get(""); all && n.UserID == "" {
						page.Notifications[i].Reason = ""
					}
				}
			})
		})},
		{"a forgotten delivery that waited keeps its time", waits, "", faultyDeliveries(func(l *faultyLog) {
			var waited shared[domain.NotificationKey, time.Time]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				if n.State.Waits() {
					waited.once(c.key, n.At)
				}
				return c.DeliveryClaim.Record(ctx, n, event)
			}
			changeResult(&l.list, func(page *ports.NotificationPage, _ ports.NotificationQuery) {
				for i, n := range page.Notifications {
					if at, ok := waited.get(n.Key()); ok && n.State == domain.Skipped && n.UserID == "" {
						page.Notifications[i].At = at
					}
				}
			})
		})},
		{"a claim outlives Forget", waits, "", faultyDeliveries(func(l *faultyLog) {
			var late shared[domain.NotificationKey, domain.Notification]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				page, err := l.whole.List(ctx, ports.NotificationQuery{OrderID: n.OrderID, Limit: 1})
				if err == nil && len(page.Notifications) == 1 && page.Notifications[0].UserID == "" && c.by != "Claim" {
					late.set(c.key, n)
				}
				return c.DeliveryClaim.Record(ctx, n, event)
			}
			changeResult(&l.list, func(page *ports.NotificationPage, _ ports.NotificationQuery) {
				for i, n := range page.Notifications {
					if of, ok := late.get(n.Key()); ok {
						page.Notifications[i] = of
					}
				}
			})
		})},
		{"Forget forgets and then fails on an ended context", ended, "", faultyDeliveries(func(l *faultyLog) { checkContextLast(&l.forget) })},
	}
}

func brokenExpiry() []broken[porttest.DeliveryLog] {
	const (
		old     = "Expire deletes deliveries that do not wait, and have not changed since the time"
		oldest  = "Expire deletes the oldest deliveries first, up to its limit"
		waits   = "Expire keeps deliveries that wait, however old they are"
		again   = "an expired delivery can be claimed and recorded as if it were new"
		dead    = "Expire of a dead delivery loses no record of a caller that has claimed it"
		ended   = "Expire with an ended context deletes nothing"
		expires = "every clause that expires deliveries"
	)
	return []broken[porttest.DeliveryLog]{
		{"Expire deletes what has changed at the time, too", old, "", expiring(func(l *faultyLog, ctx context.Context, before time.Time, limit int) (int, error) {
			return l.whole.Expire(ctx, before.Add(time.Millisecond), limit)
		})},
		{"Expire counts one more", old, expires, expiring(func(l *faultyLog, ctx context.Context, before time.Time, limit int) (int, error) {
			count, err := l.whole.Expire(ctx, before, limit)
			return count + 1, err
		})},
		{"Expire ignores its limit", oldest, "", expiring(func(l *faultyLog, ctx context.Context, before time.Time, limit int) (int, error) {
			return l.whole.Expire(ctx, before, ports.MaxListLimit)
		})},
		{"Expire counts deliveries that wait", waits, "", expiring(func(l *faultyLog, ctx context.Context, before time.Time, limit int) (int, error) {
			count, err := l.whole.Expire(ctx, before, limit)
			page, _ := l.whole.List(ctx, ports.NotificationQuery{States: []domain.NotificationState{domain.Held, domain.Retrying}, To: before, Limit: limit})
			return count + len(page.Notifications), err
		})},
		{"an expired delivery stays claimed", again, "", faultyDeliveries(func(l *faultyLog) {
			var expired shared[string, bool]
			l.expire = func(ctx context.Context, before time.Time, limit int) (int, error) {
				count, err := l.whole.Expire(ctx, before, limit)
				expired.set("", count > 0)
				return count, err
			}
			claim := l.claim
			l.claim = func(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
				if all, _ := expired.get(""); all {
					return nil, &claimedError{key}
				}
				return claim(ctx, key)
			}
		})},
		{"the record of an expired dead delivery is lost", dead, "", faultyDeliveries(func(l *faultyLog) {
			var expired shared[time.Time, bool]
			l.expire = func(ctx context.Context, before time.Time, limit int) (int, error) {
				expired.set(time.Time{}, true)
				return l.whole.Expire(ctx, before, limit)
			}
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				if is, _ := expired.get(time.Time{}); is && n.State == domain.Retrying {
					return ctx.Err()
				}
				return c.DeliveryClaim.Record(ctx, n, event)
			}
		})},
		{"Expire deletes and then fails on an ended context", ended, "", faultyDeliveries(func(l *faultyLog) { checkContextLast(&l.expire) })},
	}
}

type claimedError struct{ key domain.NotificationKey }

func (e *claimedError) Error() string { return "claim delivery of " + e.key.String() }
func (e *claimedError) Unwrap() error { return ports.ErrClaimed }
