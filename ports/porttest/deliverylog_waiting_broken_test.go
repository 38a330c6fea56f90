package porttest_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// changeClaimed calls change with what ClaimDue and ClaimHeld return.
func changeClaimed(l *faultyLog, change func(by string, claimed *[]ports.WaitingDelivery)) {
	due, held := l.due, l.held
	l.due = func(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
		claimed, err := due(ctx, channel, limit)
		change("ClaimDue", &claimed)
		return claimed, err
	}
	l.held = func(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error) {
		claimed, err := held(ctx, by, limit)
		change("ClaimHeld", &claimed)
		return claimed, err
	}
}

// waitingBy makes a log that changes what the method returns.
func waitingBy(method string, change func(l *faultyLog, claimed *[]ports.WaitingDelivery)) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) {
		changeClaimed(l, func(by string, claimed *[]ports.WaitingDelivery) {
			if by == method {
				change(l, claimed)
			}
		})
	})
}

func eachClaimed(change func(w *ports.WaitingDelivery)) func(l *faultyLog, claimed *[]ports.WaitingDelivery) {
	return func(_ *faultyLog, claimed *[]ports.WaitingDelivery) {
		for i := range *claimed {
			change(&(*claimed)[i])
		}
	}
}

// brokenWaiting returns the logs whose fault is the method's, ClaimDue or ClaimHeld.
func brokenWaiting(method, first string) []broken[porttest.DeliveryLog] {
	var (
		fields  = method + " returns a delivery with every field as it was, and with its event"
		order   = method + " returns " + first + " deliveries first, up to its limit"
		callers = method + " by many callers gives each delivery to one of them"
		again   = method + " returns a claimed delivery again once the claim has run out"
		release = "Release of a claim of " + method + " frees the delivery for its next call at once"
		ends    = "Record by a claim of " + method + " ends the waiting, unless the notification still waits"
		late    = "a late Record or Release by a claim of " + method + " changes nothing, unless it was sent"
		ended   = method + " with an ended context claims no delivery"
	)
	const (
		every    = "every clause that claims waiting deliveries"
		several  = "every clause that claims several waiting deliveries"
		nextTime = "every clause that claims a waiting delivery again"
	)
	return []broken[porttest.DeliveryLog]{
		{method + " returns no attempts", fields, "", waitingBy(method, eachClaimed(func(w *ports.WaitingDelivery) {
			w.Notification.Attempts = nil
		}))},
		{method + " returns the event without its time", fields, every, waitingBy(method, eachClaimed(func(w *ports.WaitingDelivery) {
			w.Event.Time = time.Time{}
		}))},
		{method + " returns the newest first", order, several, waitingBy(method, func(_ *faultyLog, claimed *[]ports.WaitingDelivery) {
			slices.Reverse(*claimed)
		})},
		{method + " returns one more than its limit", order, every, faultyDeliveries(func(l *faultyLog) {
			due, held := l.due, l.held
			if method == "ClaimDue" {
				l.due = func(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
					return due(ctx, channel, limit+1)
				}
			} else {
				l.held = func(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error) {
					return held(ctx, by, limit+1)
				}
			}
		})},
		{method + " looks, and then claims", callers, "every clause that looks at a held claim", waitingBy(method, func(l *faultyLog, claimed *[]ports.WaitingDelivery) {
			for _, w := range *claimed {
				if err := w.Claim.Release(context.Background()); err != nil {
					panic(err)
				}
			}
			time.Sleep(time.Millisecond)
		})},
		{method + " returns a delivery only once", again, nextTime, faultyDeliveries(func(l *faultyLog) {
			var returned shared[domain.NotificationKey, bool]
			changeClaimed(l, func(by string, claimed *[]ports.WaitingDelivery) {
				*claimed = slices.DeleteFunc(*claimed, func(w ports.WaitingDelivery) bool {
					_, known := returned.once(w.Notification.Key(), true)
					return known && by == method
				})
			})
		})},
		{"Release of a claim of " + method + " waits for the lease", release, "", releasingDelivery(func(ctx context.Context, c *faultyClaim) error {
			if c.by == method {
				return ctx.Err()
			}
			return c.DeliveryClaim.Release(ctx)
		})},
		{"the event of the first Record stays, and " + method + " returns it", ends, "", faultyDeliveries(func(l *faultyLog) {
			var events shared[domain.NotificationKey, domain.Event]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				if n.State.Waits() {
					event.Origin = event.Origin.Valid()
					events.once(c.key, event)
				}
				return c.DeliveryClaim.Record(ctx, n, event)
			}
			changeClaimed(l, func(by string, claimed *[]ports.WaitingDelivery) {
				for i, w := range *claimed {
					if first, ok := events.get(w.Notification.Key()); ok && by == method {
						(*claimed)[i].Event = first
					}
				}
			})
		})},
		{"a late Release frees the next claim of " + method, late, "", freeing(func(c *faultyClaim) bool { return c.by == method && c.ranOut() })},
		{"a late Record by a claim of " + method + " stays", late, "", forcing(func(c *faultyClaim, _, n domain.Notification) bool {
			return c.by == method && c.ranOut() && n.State != domain.Sent
		})},
		{method + " claims and then fails on an ended context", ended, "", faultyDeliveries(func(l *faultyLog) {
			if method == "ClaimDue" {
				checkContextLast(&l.due)
			} else {
				checkContextLast(&l.held)
			}
		})},
	}
}

func brokenWaitingClaims() []broken[porttest.DeliveryLog] {
	const (
		next    = "ClaimDue returns a delivery from its next try on"
		dueOnly = "ClaimDue returns only deliveries of its channel that wait, and have no other claim"
		onlyBy  = "ClaimHeld returns only deliveries that its pause holds, and that have no other claim"
	)
	return slices.Concat(brokenWaiting("ClaimDue", "the longest due"), brokenWaiting("ClaimHeld", "the longest held"), []broken[porttest.DeliveryLog]{
		{"ClaimDue returns held deliveries before their next try", next, "other clauses claim held deliveries", faultyDeliveries(func(l *faultyLog) {
			l.due = func(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
				claimed, err := l.whole.ClaimDue(ctx, channel, limit)
				if err != nil {
					return nil, err
				}
				more, err := l.whole.ClaimHeld(ctx, domain.PauseKey{Channel: channel, Receiver: "receiver"}, limit-len(claimed))
				return append(claimed, more...), err
			}
		})},
		{"ClaimDue never returns held deliveries", next, "other clauses claim due deliveries that are held", faultyDeliveries(func(l *faultyLog) {
			l.due = func(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
				claimed, err := l.whole.ClaimDue(ctx, channel, limit)
				return slices.DeleteFunc(claimed, func(w ports.WaitingDelivery) bool { return w.Notification.State == domain.Held }), err
			}
		})},
		{"ClaimDue returns deliveries of channels that differ in case", dueOnly, "", faultyDeliveries(func(l *faultyLog) {
			l.due = func(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
				claimed, err := l.whole.ClaimDue(ctx, channel, limit)
				if err != nil || limit == len(claimed) {
					return claimed, err
				}
				more, err := l.whole.ClaimDue(ctx, "M"+channel[1:], limit-len(claimed))
				return append(claimed, more...), err
			}
		})},
		{"ClaimDue returns what ClaimHeld has claimed", dueOnly, "", faultyDeliveries(func(l *faultyLog) {
			var mu sync.Mutex
			byHeld := map[string][]ports.WaitingDelivery{}
			changeClaimed(l, func(by string, claimed *[]ports.WaitingDelivery) {
				mu.Lock()
				defer mu.Unlock()
				for _, w := range *claimed {
					if by == "ClaimHeld" && w.Notification.HeldBy.Receiver == "another" {
						byHeld[w.Notification.Channel] = append(byHeld[w.Notification.Channel], w)
					}
				}
				if by == "ClaimDue" && len(*claimed) > 0 {
					*claimed = append(*claimed, byHeld[(*claimed)[0].Notification.Channel]...)
				}
			})
		})},
		{"ClaimHeld by a receiver returns those of its channel's pause", onlyBy, "", faultyDeliveries(func(l *faultyLog) {
			l.held = func(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error) {
				claimed, err := l.whole.ClaimHeld(ctx, by, limit)
				if err != nil || limit == len(claimed) {
					return claimed, err
				}
				more, err := l.whole.ClaimHeld(ctx, domain.PauseKey{Channel: by.Channel}, limit-len(claimed))
				return append(claimed, more...), err
			}
		})},
	})
}
