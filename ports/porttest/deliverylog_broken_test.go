package porttest_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestDeliveryLogClauses(t *testing.T) {
	table := slices.Concat(brokenDeliveryClaims(), brokenRecords(), brokenDeliveryReleases(), brokenDeliveryLists(),
		brokenWaitingClaims(), brokenDeliveryForgetting(), brokenExpiry(), brokenDeliveryAccounts())
	checkSuite(t, porttest.DeliveryLogClauses(), leasedLog(lease), table)
}

// faultyLog is a delivery log with functions instead of methods. A row
// replaces one of them, and calls the log's own method through whole.
type faultyLog struct {
	whole   *memory.Deliveries
	claim   func(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error)
	due     func(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error)
	held    func(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error)
	list    func(ctx context.Context, query ports.NotificationQuery) (ports.NotificationPage, error)
	forget  func(ctx context.Context, userID string) (int, error)
	expire  func(ctx context.Context, before time.Time, limit int) (int, error)
	record  func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error
	release func(ctx context.Context, c *faultyClaim) error
	account func(ctx context.Context) ([]ports.DeliveryAccount, error)
	holder  func(ctx context.Context, key domain.NotificationKey) (ports.Holder, error)
}

// faultyClaim is a claim of a faulty log. The embedded claim is the whole log's.
type faultyClaim struct {
	ports.DeliveryClaim
	log *faultyLog
	key domain.NotificationKey
	by  string // the method that made the claim
	at  time.Time
}

func (l *faultyLog) Claim(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
	c, err := l.claim(ctx, key)
	if err != nil {
		return nil, err
	}
	return &faultyClaim{c, l, key, "Claim", time.Now()}, nil
}

func (l *faultyLog) ClaimDue(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
	claimed, err := l.due(ctx, channel, limit)
	return l.faulty(claimed, "ClaimDue"), err
}

func (l *faultyLog) ClaimHeld(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error) {
	claimed, err := l.held(ctx, by, limit)
	return l.faulty(claimed, "ClaimHeld"), err
}

func (l *faultyLog) faulty(claimed []ports.WaitingDelivery, by string) []ports.WaitingDelivery {
	for i, c := range claimed {
		claimed[i].Claim = &faultyClaim{c.Claim, l, c.Notification.Key(), by, time.Now()}
	}
	return claimed
}

func (l *faultyLog) ClaimLease() time.Duration { return l.whole.ClaimLease() }

func (l *faultyLog) List(ctx context.Context, query ports.NotificationQuery) (ports.NotificationPage, error) {
	return l.list(ctx, query)
}

func (l *faultyLog) Forget(ctx context.Context, userID string) (int, error) {
	return l.forget(ctx, userID)
}

func (l *faultyLog) Expire(ctx context.Context, before time.Time, limit int) (int, error) {
	return l.expire(ctx, before, limit)
}

func (l *faultyLog) Account(ctx context.Context) ([]ports.DeliveryAccount, error) {
	return l.account(ctx)
}

func (l *faultyLog) Holder(ctx context.Context, key domain.NotificationKey) (ports.Holder, error) {
	return l.holder(ctx, key)
}

func (c *faultyClaim) Record(ctx context.Context, n domain.Notification, event domain.Event) error {
	return c.log.record(ctx, c, n, event)
}

func (c *faultyClaim) Release(ctx context.Context) error { return c.log.release(ctx, c) }

func (c *faultyClaim) ranOut() bool { return time.Since(c.at) >= lease }

// faultyDeliveries makes a log that breakIt breaks.
func faultyDeliveries(breakIt func(l *faultyLog)) func() porttest.DeliveryLog {
	return func() porttest.DeliveryLog {
		whole := &memory.Deliveries{Lease: lease}
		l := &faultyLog{whole, whole.Claim, whole.ClaimDue, whole.ClaimHeld, whole.List, whole.Forget, whole.Expire,
			func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				return c.DeliveryClaim.Record(ctx, n, event)
			},
			func(ctx context.Context, c *faultyClaim) error { return c.DeliveryClaim.Release(ctx) },
			whole.Account, whole.Holder,
		}
		breakIt(l)
		return porttest.DeliveryLog{Log: l, Other: l, Lease: lease}
	}
}

// leasedLog makes a whole log whose claims last for d, instead of the Lease that the
// clauses get.
func leasedLog(d time.Duration) func() porttest.DeliveryLog {
	return func() porttest.DeliveryLog {
		log := &memory.Deliveries{Lease: d}
		return porttest.DeliveryLog{Log: log, Other: log, Lease: lease}
	}
}

// claimingDelivery makes a log with another Claim.
func claimingDelivery(claim func(l *faultyLog, ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error)) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) {
		l.claim = func(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
			return claim(l, ctx, key)
		}
	})
}

// recording makes a log with another Record.
func recording(record func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) { l.record = record })
}

// recordingAs makes a log whose Record records another notification.
func recordingAs(change func(n *domain.Notification)) func() porttest.DeliveryLog {
	return recording(func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
		n.Attempts = slices.Clone(n.Attempts)
		change(&n)
		return c.DeliveryClaim.Record(ctx, n, event)
	})
}

// releasingDelivery makes a log with another Release.
func releasingDelivery(release func(ctx context.Context, c *faultyClaim) error) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) { l.release = release })
}

// listingDeliveries makes a log that changes each page of its List.
func listingDeliveries(change func(page *ports.NotificationPage, query ports.NotificationQuery)) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) { changeResult(&l.list, change) })
}

// forcing makes a log that lists the notification of a Record instead of the one
// that the whole log has, if forces reports true. forces gets the notification that was
// recorded before.
func forcing(forces func(c *faultyClaim, before, n domain.Notification) bool) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) {
		var latest, forced shared[domain.NotificationKey, domain.Notification]
		l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
			if err := c.DeliveryClaim.Record(ctx, n, event); err != nil {
				return err
			}
			before, _ := latest.get(c.key)
			latest.set(c.key, n)
			if forces(c, before, n) {
				forced.set(c.key, n)
			}
			return nil
		}
		changeResult(&l.list, func(page *ports.NotificationPage, _ ports.NotificationQuery) {
			for i, n := range page.Notifications {
				if other, ok := forced.get(n.Key()); ok {
					page.Notifications[i] = other
				}
			}
		})
	})
}
