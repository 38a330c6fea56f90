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
	table := slices.Concat(brokenDeliveryClaims(), brokenRecords(), brokenDeliveryReleases(), brokenDeliveryLists())
	checkSuite(t, porttest.DeliveryLogClauses(), leasedLog(lease), table)
}

// faultyLog is a delivery log with functions instead of methods. A row
// replaces one of them, and calls the log's own method through whole.
type faultyLog struct {
	whole   *memory.Deliveries
	claim   func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error)
	list    func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error)
	record  func(ctx context.Context, c *faultyClaim, n domain.Notification) error
	release func(ctx context.Context, c *faultyClaim) error
}

// faultyClaim is a claim of a faulty log. The embedded claim is the whole log's.
type faultyClaim struct {
	ports.DeliveryClaim
	log     *faultyLog
	event   domain.EventID
	channel string
	at      time.Time
}

func (l *faultyLog) Claim(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
	c, err := l.claim(ctx, event, channel)
	if err != nil {
		return nil, err
	}
	return &faultyClaim{c, l, event, channel, time.Now()}, nil
}

func (l *faultyLog) ClaimLease() time.Duration { return l.whole.ClaimLease() }

func (l *faultyLog) List(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
	return l.list(ctx, order)
}

func (c *faultyClaim) Record(ctx context.Context, n domain.Notification) error {
	return c.log.record(ctx, c, n)
}

func (c *faultyClaim) Release(ctx context.Context) error { return c.log.release(ctx, c) }

func (c *faultyClaim) ranOut() bool { return time.Since(c.at) >= lease }

// faultyDeliveries makes a log that breakIt breaks.
func faultyDeliveries(breakIt func(l *faultyLog)) func() porttest.DeliveryLog {
	return func() porttest.DeliveryLog {
		whole := &memory.Deliveries{Lease: lease}
		l := &faultyLog{whole, whole.Claim, whole.List,
			func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
				return c.DeliveryClaim.Record(ctx, n)
			},
			func(ctx context.Context, c *faultyClaim) error { return c.DeliveryClaim.Release(ctx) },
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
func claimingDelivery(claim func(l *faultyLog, ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error)) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) {
		l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
			return claim(l, ctx, event, channel)
		}
	})
}

// recording makes a log with another Record.
func recording(record func(ctx context.Context, c *faultyClaim, n domain.Notification) error) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) { l.record = record })
}

// releasingDelivery makes a log with another Release.
func releasingDelivery(release func(ctx context.Context, c *faultyClaim) error) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) { l.release = release })
}

// listingDeliveries makes a log with another List.
func listingDeliveries(list func(l *faultyLog, ctx context.Context, order domain.OrderID) (ports.NotificationList, error)) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) {
		l.list = func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
			return list(l, ctx, order)
		}
	})
}

// keepingRecords makes a log that keeps the records that keep returns, and lists
// those that pick returns.
func keepingRecords(
	keep func(kept []domain.Notification, n domain.Notification) []domain.Notification,
	pick func(kept []domain.Notification, order domain.OrderID) []domain.Notification,
) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) {
		var own shared[struct{}, []domain.Notification]
		l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) (err error) {
			own.do(func(own map[struct{}][]domain.Notification) {
				if err = c.DeliveryClaim.Record(ctx, n); err == nil {
					own[struct{}{}] = keep(own[struct{}{}], n)
				}
			})
			return err
		}
		l.list = func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
			kept, _ := own.get(struct{}{})
			return ports.NotificationList{Notifications: pick(slices.Clone(kept), order)}, ctx.Err()
		}
	})
}

func ofOrder(kept []domain.Notification, order domain.OrderID) []domain.Notification {
	kept = slices.DeleteFunc(kept, func(n domain.Notification) bool { return n.OrderID != order })
	slices.SortStableFunc(kept, func(a, b domain.Notification) int { return a.SentAt.Compare(b.SentAt) })
	return kept
}

func sameDelivery(a domain.Notification) func(b domain.Notification) bool {
	return func(b domain.Notification) bool { return a.EventID == b.EventID && a.Channel == b.Channel }
}

// keepFirst adds the record unless the delivery has one.
func keepFirst(kept []domain.Notification, n domain.Notification) []domain.Notification {
	if slices.ContainsFunc(kept, sameDelivery(n)) {
		return kept
	}
	return append(kept, n)
}
