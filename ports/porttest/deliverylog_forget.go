package porttest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// ofUser returns a notification in each state, of the user, by a channel of its own.
// Those that wait are due.
func ofUser(user string, n int) []delivered {
	var all []delivered
	for i, state := range domain.NotificationStates {
		event := event(n + i)
		event.Order.UserID = user
		of := hardNotifications(event)[1]
		plain := notificationIn(state, event, fmt.Sprint("mail", n+i), i)
		of.Channel, of.State, of.At, of.Reason, of.NextTry, of.HeldBy = plain.Channel, state, plain.At, plain.Reason, plain.NextTry, plain.HeldBy
		of.Attempts = of.Attempts[:3]
		all = append(all, delivered{of, event})
	}
	return all
}

// forgotten returns the notification without what the log knew of its user. If it
// waited, at is the time of the change.
func forgotten(n domain.Notification, at time.Time) domain.Notification {
	n.UserID, n.Receiver, n.Reason = "", "", ""
	attempts := n.Attempts
	n.Attempts = nil
	for _, a := range attempts {
		a.Answer = ""
		n.Attempts = append(n.Attempts, a)
	}
	if n.State.Waits() {
		n.State, n.At, n.NextTry, n.HeldBy = domain.Skipped, at, time.Time{}, domain.PauseKey{}
	}
	return n
}

// forget forgets the user, and fails t unless count notifications have changed.
func forget(t testing.TB, log ports.DeliveryLog, user string, count int) {
	t.Helper()
	got, err := log.Forget(bounded(t), user)
	must(t, "forget user "+user, err)
	if got != count {
		t.Errorf("forget user %q: %d deliveries have changed, want %d", user, got, count)
	}
}

// listed returns the order's only notification.
func listed(t testing.TB, log ports.DeliveryLog, order domain.OrderID) domain.Notification {
	t.Helper()
	page, err := log.List(bounded(t), ports.NotificationQuery{OrderID: order, Limit: 10})
	must(t, "list deliveries of order "+string(order), err)
	if len(page.Notifications) != 1 {
		t.Fatalf("list of order %s: %d deliveries, want one", order, len(page.Notifications))
	}
	return page.Notifications[0]
}

var deliveryLogForget = []Clause[DeliveryLog]{
	{"Forget empties user, receivers, reasons and answers of the user's deliveries, and changes no others", func(t testing.TB, d DeliveryLog) {
		mine, others := ofUser("ann", 0), ofUser("Ann", 100)
		recordAll(t, d.Log, append(mine, others...)...)
		forget(t, d.Other, "ann", len(mine))
		for _, n := range mine {
			got := listed(t, d.Log, n.OrderID)
			checkDeliveries(t, d, n.OrderID, forgotten(n.Notification, got.At))
		}
		for _, n := range others {
			checkDeliveries(t, d, n.OrderID, n.Notification)
		}
		checkPages(t, d, ports.NotificationQuery{UserID: "ann", Limit: 10})
	}},

	{"Forget of a user that the log does not know, or of an empty one, changes nothing", func(t testing.TB, d DeliveryLog) {
		mine := ofUser("ann", 0)
		nobodys := ofUser("", 100)
		recordAll(t, d.Log, append(mine, nobodys...)...)
		for _, user := range []string{"", "nobody", "an", "ann ", `{"$gt":""}`} {
			forget(t, d.Other, user, 0)
		}
		for _, n := range append(mine, nobodys...) {
			checkDeliveries(t, d, n.OrderID, n.Notification)
		}
		forget(t, d.Log, "ann", len(mine))
		forget(t, d.Other, "ann", 0) // a second time
	}},

	{"Forget ends the waiting of the user's deliveries, and their claims", func(t testing.TB, d DeliveryLog) {
		const apart = time.Minute // how far the log's clock may be from this one
		begin := time.Now()
		for n, by := range []waitingClaim{byDue, byPause} {
			var claims []ports.WaitingDelivery
			channel := roundChannel(n)
			all := by.nth(channel, 100*n, 4)
			recordAll(t, d.Log, all...)
			claims = awaitWaiting(t, by, d.Log, channel, 2)
			forget(t, d.Other, "user", len(all))
			for i, state := range []domain.NotificationState{domain.Retrying, domain.Held} {
				recordWith(t, claims[i].Claim, notificationIn(state, claims[i].Event, channel, 9), claims[i].Event)
			}
			for _, before := range all {
				got := listed(t, d.Other, before.OrderID)
				checkEqual(t, "delivery of "+string(before.EventID), forgotten(before.Notification, got.At), got)
				if got.At.Before(begin.Add(-apart)) || got.At.After(time.Now().Add(apart)) {
					t.Errorf("At of the skipped delivery of %s is %v, want about %v", got.EventID, got.At, begin)
				}
				if got.At != domain.TruncateTime(got.At) {
					t.Errorf("At of the skipped delivery of %s is %v, want UTC to the millisecond", got.EventID, got.At)
				}
			}
			waitOut(d.Lease)
			checkNoneWaits(t, d, channel)
		}
	}},

	{"Forget with an ended context changes nothing", func(t testing.TB, d DeliveryLog) {
		mine := ofUser("ann", 0)
		recordAll(t, d.Log, mine...)
		checkEnded(t, "Forget", func(ctx context.Context) error { return errorOf(d.Log.Forget(ctx, "ann")) })
		for _, n := range mine {
			checkDeliveries(t, d, n.OrderID, n.Notification)
		}
	}},
}
