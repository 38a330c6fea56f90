package porttest

import (
	"context"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// settledStates are the states of notifications that do not wait.
var settledStates = []domain.NotificationState{domain.Sent, domain.Dead, domain.Skipped}

// settledSince returns count notifications that do not wait, one of each second after
// the epoch.
func settledSince(n, count int) []delivered {
	var all []delivered
	for i := range count {
		all = append(all, delivered{notificationIn(settledStates[i%3], event(n+i), channel, i), event(n + i)})
	}
	return all
}

// expire deletes what is older than before, and fails t unless these are count
// notifications.
func expire(t testing.TB, log ports.DeliveryLog, before time.Time, limit, count int) {
	t.Helper()
	got, err := log.Expire(bounded(t), before, limit)
	must(t, "expire deliveries", err)
	if got != count {
		t.Errorf("expire up to %d deliveries from before %v: deleted %d, want %d", limit, before, got, count)
	}
}

var deliveryLogExpire = []Clause[DeliveryLog]{
	{"Expire deletes deliveries that do not wait, and have not changed since the time", func(t testing.TB, d DeliveryLog) {
		old := settledSince(0, 12)
		recordAll(t, d.Log, old...)
		expire(t, d.Other, old[0].At, 100, 0)
		expire(t, d.Other, old[6].At, 100, 6)
		query := ports.NotificationQuery{Limit: 100}
		checkPages(t, d, query, sortedFor(query, notifications(old[6:]))...)
		expire(t, d.Log, old[11].At.Add(time.Millisecond), 100, 6)
		checkPages(t, d, query)
		for _, n := range old {
			checkDeliveries(t, d, n.OrderID)
		}
	}},

	{"Expire deletes the oldest deliveries first, up to its limit", func(t testing.TB, d DeliveryLog) {
		old := settledSince(0, 12)
		for _, i := range []int{7, 3, 11, 0, 9, 5, 1, 8, 2, 10, 4, 6} {
			recordAll(t, d.Log, old[i])
		}
		query := ports.NotificationQuery{Limit: 100}
		for left := old; len(left) > 0; {
			limit := min(5, len(left))
			expire(t, d.Other, epoch.Add(time.Hour), 5, limit)
			left = left[limit:]
			checkPages(t, d, query, sortedFor(query, notifications(left))...)
		}
		expire(t, d.Log, epoch.Add(time.Hour), ports.MaxListLimit, 0)
	}},

	{"Expire keeps deliveries that wait, however old they are", func(t testing.TB, d DeliveryLog) {
		due, held := byDue.nth("due", 0, 3), byPause.nth("held", 100, 3)
		recordAll(t, d.Log, append(due, held...)...)
		expire(t, d.Other, epoch.AddDate(1, 0, 0), 100, 0)
		for _, waits := range append(due, held...) {
			checkDeliveries(t, d, waits.OrderID, waits.Notification)
		}
		for _, fault := range []string{
			claimedAs(t, byDue, awaitWaiting(t, byDue, d.Log, "due", 3), due...),
			claimedAs(t, byPause, awaitWaiting(t, byPause, d.Log, "held", 3), held...),
		} {
			if fault != "" {
				t.Error(fault)
			}
		}
	}},

	{"an expired delivery can be claimed and recorded as if it were new", func(t testing.TB, d DeliveryLog) {
		old := settledSince(0, 3)
		recordAll(t, d.Log, old...)
		expire(t, d.Log, epoch.Add(time.Hour), 3, 3)
		for n, before := range old {
			claim := claimDelivery(t, d.Other, before.Event, channel)
			again := notification(before.Event, channel, 100+n)
			record(t, claim, again)
			checkRecorded(t, d, before.Event, again)
		}
	}},

	{"Expire of a dead delivery loses no record of a caller that has claimed it", func(t testing.TB, d DeliveryLog) {
		for n, state := range domain.NotificationStates {
			event := event(n)
			record(t, claimDelivery(t, d.Log, event, channel), notificationIn(domain.Dead, event, channel, 1))
			claim := claimDelivery(t, d.Log, event, channel)
			_, err := d.Other.Expire(bounded(t), epoch.Add(time.Hour), 100) // it may delete the delivery or leave it
			must(t, "expire deliveries", err)
			want := delivered{notificationIn(state, event, channel, 3700), event}
			recordWith(t, claim, want.Notification, event)
			checkDeliveries(t, d, event.Order.ID, want.Notification)
			if state.Waits() {
				if fault := claimedAs(t, byDue, awaitWaiting(t, byDue, d.Log, channel, 1), want); fault != "" {
					t.Error(fault)
				}
			}
		}
	}},

	{"Expire with an ended context deletes nothing", func(t testing.TB, d DeliveryLog) {
		old := settledSince(0, 3)
		recordAll(t, d.Log, old...)
		checkEnded(t, "Expire", func(ctx context.Context) error { return errorOf(d.Log.Expire(ctx, epoch.Add(time.Hour), 10)) })
		for _, n := range old {
			checkDeliveries(t, d, n.OrderID, n.Notification)
		}
	}},
}
