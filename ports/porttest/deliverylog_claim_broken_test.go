package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// rekeying makes a log that keeps notifications under other keys.
func rekeying(rename func(*domain.NotificationKey)) func() porttest.DeliveryLog {
	return claimingDelivery(func(l *faultyLog, ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
		other := key
		rename(&other)
		claim, err := l.whole.Claim(ctx, other)
		if err != nil {
			err = fmt.Errorf("claim delivery of %s: %w", key, err)
		}
		return claim, err
	})
}

// secondClaims makes a log whose Claim succeeds although the whole log's returned an
// error, if may reports true. at is the time of the key's first Claim.
func secondClaims(may func(err error, first time.Time) bool) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) {
		var firsts shared[domain.NotificationKey, time.Time]
		l.claim = func(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
			c, err := l.whole.Claim(ctx, key)
			first, known := firsts.once(key, time.Now())
			if known && err != nil && may(err, first) {
				return new(memory.Deliveries).Claim(ctx, key)
			}
			return c, err
		}
	})
}

func brokenDeliveryClaims() []broken[porttest.DeliveryLog] {
	const (
		refuses  = "Claim refuses a claimed delivery to each caller until the claim runs out"
		next     = "Claim gives a delivery whose claim has run out to the next caller, each time"
		oneOf    = "Claim by many callers succeeds for one of them"
		keys     = "Claim distinguishes events, channels and recipients"
		recorded = "Claim of a recorded delivery always returns ErrExists, unless it is dead"
		dead     = "Claim gives a dead delivery to one caller at a time"
		ended    = "Claim with an ended context claims no delivery"
		every    = "every clause that looks at a held claim"
		runsOut  = "every clause that lets a claim run out"
		channels = "other clauses send by several channels"
		looks    = "every clause that looks at a recorded delivery"
		again    = "dead deliveries are claimed again in other clauses"
	)
	return []broken[porttest.DeliveryLog]{
		{"each caller gets the claim", refuses, every, leasedLog(time.Nanosecond)},
		{"a claim of a delivery runs out early", refuses, "ClaimLease returns the same short lease", leasedLog(lease / 3)},

		{"ClaimLease returns another lease", "ClaimLease returns how long a delivery's claim lasts", "", leasedLog(lease + lease/10)},
		{"a claim of a delivery never runs out", next, runsOut, leasedLog(time.Hour)},

		{"the next caller's claim does not last", next, runsOut, secondClaims(func(err error, first time.Time) bool {
			return errors.Is(err, ports.ErrClaimed) && time.Since(first) > lease
		})},
		{"each process has its own claims on deliveries", refuses, every, func() porttest.DeliveryLog {
			d := leasedLog(lease)()
			d.Other = leasedLog(lease)().Log
			return d
		}},
		{"Claim looks, and then claims", oneOf, again, claimingDelivery(func(l *faultyLog, ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
			c, err := l.whole.Claim(ctx, key)
			if err != nil {
				return nil, err
			}
			if err := c.Release(ctx); err != nil {
				return nil, err
			}
			time.Sleep(time.Millisecond)
			if again, err := l.whole.Claim(ctx, key); err == nil {
				c = again
			}
			return c, nil
		})},
		{"a concurrent Claim fails as if the log were unreachable", oneOf, "every clause with many callers", faultyDeliveries(func(l *faultyLog) {
			var busy sync.Mutex
			l.claim = func(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
				if !busy.TryLock() {
					return nil, fmt.Errorf("claim delivery of %s: %w", key, ports.ErrUnavailable)
				}
				defer busy.Unlock()
				time.Sleep(time.Millisecond)
				return l.whole.Claim(ctx, key)
			}
		})},
		{"channels are ignored", keys, channels, rekeying(func(key *domain.NotificationKey) { key.Channel = "any" })},
		{"recipients are ignored", keys, "other clauses have several recipients", rekeying(func(key *domain.NotificationKey) { key.Recipient = "" })},
		{"channels that differ in case are the same", keys, channels, rekeying(func(key *domain.NotificationKey) { key.Channel = strings.ToLower(key.Channel) })},
		{"event and channel are one text", keys, channels, rekeying(func(key *domain.NotificationKey) {
			key.EventID, key.Channel = key.EventID+domain.EventID(key.Channel), ""
		})},
		{"channel and recipient are one text", keys, channels, rekeying(func(key *domain.NotificationKey) {
			key.Channel, key.Recipient = key.Channel+key.Recipient, ""
		})},
		{"a recorded delivery looks claimed", recorded, looks, claimingDelivery(func(l *faultyLog, ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
			c, err := l.whole.Claim(ctx, key)
			if errors.Is(err, ports.ErrExists) {
				return nil, fmt.Errorf("claim delivery of %s: %w", key, ports.ErrClaimed)
			}
			return c, err
		})},
		{"a record is forgotten with the lease", recorded, "every clause that looks at a record after the lease", secondClaims(func(err error, first time.Time) bool {
			return errors.Is(err, ports.ErrExists) && time.Since(first) > lease
		})},
		{"a delivery that waits can be claimed", recorded, looks, faultyDeliveries(func(l *faultyLog) {
			var waits shared[domain.NotificationKey, bool]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				waits.set(c.key, n.State.Waits())
				return c.DeliveryClaim.Record(ctx, n, event)
			}
			l.claim = func(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
				if waiting, _ := waits.get(key); waiting {
					return new(memory.Deliveries).Claim(ctx, key)
				}
				return l.whole.Claim(ctx, key)
			}
		})},
		{"a dead delivery can't be claimed", dead, again, faultyDeliveries(func(l *faultyLog) {
			var dead shared[domain.NotificationKey, bool]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				dead.set(c.key, n.State == domain.Dead)
				return c.DeliveryClaim.Record(ctx, n, event)
			}
			l.claim = func(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
				if is, _ := dead.get(key); is {
					return nil, fmt.Errorf("claim delivery of %s: %w", key, ports.ErrExists)
				}
				return l.whole.Claim(ctx, key)
			}
		})},
		{"each caller gets a dead delivery", dead, "", faultyDeliveries(func(l *faultyLog) {
			var dead shared[domain.NotificationKey, bool]
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				dead.set(c.key, n.State == domain.Dead)
				return c.DeliveryClaim.Record(ctx, n, event)
			}
			l.claim = func(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
				c, err := l.whole.Claim(ctx, key)
				if is, _ := dead.get(key); is && errors.Is(err, ports.ErrClaimed) {
					return new(memory.Deliveries).Claim(ctx, key)
				}
				return c, err
			}
		})},
		{"the log's errors do not say what was attempted", refuses, "every clause that looks at a refusal", claimingDelivery(func(l *faultyLog, ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
			c, err := l.whole.Claim(ctx, key)
			for _, plain := range []error{ports.ErrClaimed, ports.ErrExists} {
				if errors.Is(err, plain) {
					return nil, plain
				}
			}
			return c, err
		})},
		{"Claim claims a delivery and then fails on an ended context", ended, "", faultyDeliveries(func(l *faultyLog) { checkContextLast(&l.claim) })},
	}
}
