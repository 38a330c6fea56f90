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

// renaming makes a log that keeps events and channels under other names.
func renaming(rename func(domain.EventID, string) (domain.EventID, string)) func() porttest.DeliveryLog {
	return claimingDelivery(func(l *faultyLog, ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
		e, c := rename(event, channel)
		claim, err := l.whole.Claim(ctx, e, c)
		if err != nil {
			err = fmt.Errorf("claim delivery of %s: %w", event, err)
		}
		return claim, err
	})
}

func brokenDeliveryClaims() []broken[porttest.DeliveryLog] {
	const (
		refuses  = "Claim refuses a claimed delivery to each caller until the claim runs out"
		next     = "Claim gives a delivery whose claim has run out to the next caller, each time"
		oneOf    = "Claim by many callers succeeds for one of them"
		keys     = "Claim distinguishes events and channels"
		recorded = "Claim of a recorded delivery always returns ErrExists"
		ended    = "Claim with an ended context claims no delivery"
		every    = "every clause that looks at a held claim"
		runsOut  = "every clause that lets a claim run out"
	)
	return []broken[porttest.DeliveryLog]{
		{"each caller gets the claim", refuses, every, leasedLog(time.Nanosecond)},
		{"a claim of a delivery runs out early", refuses, "ClaimLease returns the same short lease", leasedLog(lease / 3)},

		{"ClaimLease returns another lease", "ClaimLease returns how long a delivery's claim lasts", "", leasedLog(lease + lease/10)},
		{"a claim of a delivery never runs out", next, runsOut, leasedLog(time.Hour)},

		{"the next caller's claim does not last", next, runsOut, faultyDeliveries(func(l *faultyLog) {
			var first shared[domain.EventID, time.Time]
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				c, err := l.whole.Claim(ctx, event, channel)
				since, known := first.once(event, time.Now())
				if known && errors.Is(err, ports.ErrClaimed) && time.Since(since) > lease {
					return new(memory.Deliveries).Claim(ctx, event, channel)
				}
				return c, err
			}
		})},
		{"each process has its own claims on deliveries", refuses, every, func() porttest.DeliveryLog {
			d := leasedLog(lease)()
			d.Other = leasedLog(lease)().Log
			return d
		}},
		{"Claim looks, and then claims", oneOf, "", claimingDelivery(func(l *faultyLog, ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
			c, err := l.whole.Claim(ctx, event, channel)
			if err != nil {
				return nil, err
			}
			if err := c.Release(ctx); err != nil {
				return nil, err
			}
			time.Sleep(time.Millisecond)
			if again, err := l.whole.Claim(ctx, event, channel); err == nil {
				c = again
			}
			return c, nil
		})},
		{"a concurrent Claim fails as if the log were unreachable", oneOf, "", faultyDeliveries(func(l *faultyLog) {
			var busy sync.Mutex
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				if !busy.TryLock() {
					return nil, fmt.Errorf("claim delivery of %s: %w", event, ports.ErrUnavailable)
				}
				defer busy.Unlock()
				time.Sleep(time.Millisecond)
				return l.whole.Claim(ctx, event, channel)
			}
		})},
		{"channels are ignored", keys, "other clauses send by several channels", renaming(func(event domain.EventID, _ string) (domain.EventID, string) {
			return event, "any"
		})},
		{"channels that differ in case are the same", keys, "", renaming(func(event domain.EventID, channel string) (domain.EventID, string) {
			return event, strings.ToLower(channel)
		})},
		{"event and channel are one text", keys, "", renaming(func(event domain.EventID, channel string) (domain.EventID, string) {
			return event + domain.EventID(channel), ""
		})},
		{"a recorded delivery looks claimed", recorded, "every clause that looks at a recorded delivery", claimingDelivery(func(l *faultyLog, ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
			c, err := l.whole.Claim(ctx, event, channel)
			if errors.Is(err, ports.ErrExists) {
				return nil, fmt.Errorf("claim delivery of %s: %w", event, ports.ErrClaimed)
			}
			return c, err
		})},
		{"a record is forgotten with the lease", recorded, "", faultyDeliveries(func(l *faultyLog) {
			var records shared[domain.EventID, time.Time]
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				c, err := l.whole.Claim(ctx, event, channel)
				if at, ok := records.get(event); ok && errors.Is(err, ports.ErrExists) && time.Since(at) > lease {
					return new(memory.Deliveries).Claim(ctx, event, channel)
				}
				return c, err
			}
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
				records.once(c.event, time.Now())
				return c.DeliveryClaim.Record(ctx, n)
			}
		})},
		{"the log's errors do not say what was attempted", refuses, "every clause that looks at a refusal", claimingDelivery(func(l *faultyLog, ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
			c, err := l.whole.Claim(ctx, event, channel)
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
