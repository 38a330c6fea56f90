package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestDeliveryLogClauses(t *testing.T) {
	table := slices.Concat(brokenDeliveryClaims(), brokenRecords(), brokenDeliveryLists())
	checkSuite(t, porttest.DeliveryLogClauses(), deliveries(lease), table)
}

// deliveries makes a log whose claims last for d, whatever the harness says.
func deliveries(d time.Duration) func() porttest.DeliveryLog {
	return func() porttest.DeliveryLog {
		log := &memory.Deliveries{Lease: d}
		return porttest.DeliveryLog{Log: log, Other: log, Lease: lease}
	}
}

// faultyLog has functions that stand in for a method of a whole log. Those of
// claims get the claim that they are called on.
type faultyLog struct {
	whole   *memory.Deliveries
	claim   func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error)
	list    func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error)
	record  func(ctx context.Context, c *faultyClaim, n domain.Notification) error
	release func(ctx context.Context, c *faultyClaim) error
}

type faultyClaim struct {
	ports.DeliveryClaim
	log     *faultyLog
	event   domain.EventID
	channel string
	at      time.Time
}

func (l *faultyLog) Claim(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
	claim := l.claim
	if claim == nil {
		claim = l.whole.Claim
	}
	c, err := claim(ctx, event, channel)
	if err != nil {
		return nil, err
	}
	return &faultyClaim{c, l, event, channel, time.Now()}, nil
}

func (l *faultyLog) ClaimLease() time.Duration { return l.whole.ClaimLease() }

func (l *faultyLog) List(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
	if l.list != nil {
		return l.list(ctx, order)
	}
	return l.whole.List(ctx, order)
}

func (c *faultyClaim) Record(ctx context.Context, n domain.Notification) error {
	if c.log.record != nil {
		return c.log.record(ctx, c, n)
	}
	return c.DeliveryClaim.Record(ctx, n)
}

func (c *faultyClaim) Release(ctx context.Context) error {
	if c.log.release != nil {
		return c.log.release(ctx, c)
	}
	return c.DeliveryClaim.Release(ctx)
}

func faultyDeliveries(breakIt func(whole *memory.Deliveries, l *faultyLog)) func() porttest.DeliveryLog {
	return func() porttest.DeliveryLog {
		l := &faultyLog{whole: &memory.Deliveries{Lease: lease}}
		breakIt(l.whole, l)
		return porttest.DeliveryLog{Log: l, Other: l, Lease: lease}
	}
}

func brokenDeliveryClaims() []broken[porttest.DeliveryLog] {
	return []broken[porttest.DeliveryLog]{
		{name: "everybody gets the claim", open: deliveries(time.Nanosecond), fails: []string{
			"Claim keeps everybody else away until the claim runs out",
		}, more: true},

		{name: "a claim of a delivery runs out early", open: deliveries(lease / 3), fails: []string{
			"ClaimLease tells how long a delivery's claim lasts",
			"Claim keeps everybody else away until the claim runs out",
		}},

		{name: "a claim of a delivery never runs out", open: deliveries(time.Hour), fails: []string{
			"ClaimLease tells how long a delivery's claim lasts",
			"a delivery's claim that has run out can be had by the next, and again",
			"Record after another's keeps the first",
			"Record holds after the claim has run out",
			"Release after Record does nothing",
			"Release of a claim that has run out does nothing to the next one's",
			"of many that record at once the record of one stays",
		}},

		{name: "the next one's claim is no claim", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			var mu sync.Mutex
			late := map[domain.EventID]time.Time{}
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				c, err := whole.Claim(ctx, event, channel)
				mu.Lock()
				defer mu.Unlock()
				if since, ok := late[event]; ok && errors.Is(err, ports.ErrClaimed) && time.Since(since) > lease {
					return new(memory.Deliveries).Claim(ctx, event, channel)
				}
				if _, ok := late[event]; !ok {
					late[event] = time.Now()
				}
				return c, err
			}
		}), fails: []string{
			"a delivery's claim that has run out can be had by the next, and again",
		}, more: true},

		{name: "each process has claims of its own", open: func() porttest.DeliveryLog {
			return porttest.DeliveryLog{
				Log: &memory.Deliveries{Lease: lease}, Other: &memory.Deliveries{Lease: lease}, Lease: lease,
			}
		}, fails: []string{
			"Claim keeps everybody else away until the claim runs out",
			"of many that claim a delivery at once one gets it",
		}, more: true},

		{name: "Claim looks, and then claims", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				c, err := whole.Claim(ctx, event, channel)
				if err != nil {
					return nil, err
				}
				if err := c.Release(ctx); err != nil {
					return nil, err
				}
				time.Sleep(time.Millisecond)
				if again, err := whole.Claim(ctx, event, channel); err == nil {
					c = again
				}
				return c, nil
			}
		}), fails: []string{
			"of many that claim a delivery at once one gets it",
		}},

		{name: "Claim beside another fails as if the log were away", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			var busy sync.Mutex
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				if !busy.TryLock() {
					return nil, fmt.Errorf("claim delivery of %s: %w", event, ports.ErrUnavailable)
				}
				defer busy.Unlock()
				time.Sleep(time.Millisecond)
				return whole.Claim(ctx, event, channel)
			}
		}), fails: []string{
			"of many that claim a delivery at once one gets it",
		}},

		{name: "channels are ignored", open: renaming(func(event domain.EventID, _ string) (domain.EventID, string) {
			return event, "any"
		}), fails: []string{
			"Claim tells events and channels apart",
			"List returns the oldest first",
			"List returns only what was recorded, and only the order's",
			"List of deliveries leaves what it returned to the caller",
		}},

		{name: "channels that differ in case are the same", open: renaming(func(event domain.EventID, channel string) (domain.EventID, string) {
			return event, strings.ToLower(channel)
		}), fails: []string{
			"Claim tells events and channels apart",
		}},

		{name: "event and channel are run together", open: renaming(func(event domain.EventID, channel string) (domain.EventID, string) {
			return event + domain.EventID(channel), ""
		}), fails: []string{
			"Claim tells events and channels apart",
		}},

		{name: "what is recorded looks claimed", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				c, err := whole.Claim(ctx, event, channel)
				if errors.Is(err, ports.ErrExists) {
					return nil, fmt.Errorf("claim delivery of %s: %w", event, ports.ErrClaimed)
				}
				return c, err
			}
		}), fails: []string{
			"Claim of what is recorded says that it exists, whoever asks and whenever",
			"Record after another's keeps the first",
			"Record holds after the claim has run out",
			"Release after Record does nothing",
		}},

		{name: "a record is forgotten with the lease", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			var recorded sync.Map
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				c, err := whole.Claim(ctx, event, channel)
				if at, ok := recorded.Load(event); ok && errors.Is(err, ports.ErrExists) && time.Since(at.(time.Time)) > lease {
					return new(memory.Deliveries).Claim(ctx, event, channel)
				}
				return c, err
			}
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
				recorded.LoadOrStore(c.event, time.Now())
				return c.DeliveryClaim.Record(ctx, n)
			}
		}), fails: []string{
			"Claim of what is recorded says that it exists, whoever asks and whenever",
		}},

		{name: "the log's errors do not say what was attempted", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				c, err := whole.Claim(ctx, event, channel)
				for _, plain := range []error{ports.ErrClaimed, ports.ErrExists} {
					if errors.Is(err, plain) {
						return nil, plain
					}
				}
				return c, err
			}
		}), fails: []string{
			"Claim keeps everybody else away until the claim runs out",
			"Claim of what is recorded says that it exists, whoever asks and whenever",
		}, more: true},

		{name: "Claim claims and then fails on an ended context", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				c, err := whole.Claim(context.WithoutCancel(ctx), event, channel)
				if ctx.Err() != nil {
					return nil, fmt.Errorf("claim delivery of %s: %w", event, ctx.Err())
				}
				return c, err
			}
		}), fails: []string{
			"Claim with an ended context claims no delivery",
		}},
	}
}

// renaming makes a log that knows events and channels by other names.
func renaming(rename func(domain.EventID, string) (domain.EventID, string)) func() porttest.DeliveryLog {
	return faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
		l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
			e, c := rename(event, channel)
			claim, err := whole.Claim(ctx, e, c)
			if err != nil {
				err = fmt.Errorf("claim delivery of %s: %w", event, err)
			}
			return claim, err
		}
	})
}
