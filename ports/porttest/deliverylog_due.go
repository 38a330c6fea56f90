package porttest

import (
	"cmp"
	"testing"
	"time"

	"example.com/orderflow/domain"
)

var deliveryLogDue = append(byDue.clauses(), []Clause[DeliveryLog]{
	{"ClaimDue returns a delivery from its next try on", func(t testing.TB, d DeliveryLog) {
		next := domain.TruncateTime(time.Now().Add(d.Lease / 2))
		var waiting []delivered
		for n, state := range []domain.NotificationState{domain.Retrying, domain.Held} {
			of := notificationIn(state, event(n), channel, n)
			of.NextTry = next
			waiting = append(waiting, delivered{of, event(n)})
		}
		recordAll(t, d.Log, waiting...)
		awaitEach(t, "the delivery is due", eventIDs(events(0, 2)), func() (ids []domain.EventID) {
			for _, got := range byDue.some(t, d.Other, channel, 1) {
				if early := time.Until(next); early > 0 {
					t.Errorf("ClaimDue returned the %s delivery of %s %v before its next try", got.Notification.State, got.Notification.EventID, early)
				}
				ids = append(ids, got.Notification.EventID)
			}
			return ids
		})
	}},

	{"ClaimDue returns only deliveries of its channel that wait, and have no other claim", func(t testing.TB, d DeliveryLog) {
		withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
			due := roundChannel(round)
			n := 100 * round
			want := byDue.nth(due, n, 2)
			held := delivered{notificationIn(domain.Held, event(n+10), due, 0), event(n + 10)}
			held.HeldBy.Receiver = "another"
			all := append(want, held)
			for i, other := range []string{due + "x", due[:3], "M" + due[1:]} {
				all = append(all, byDue.nth(other, n+20+i, 1)...)
			}
			for i, state := range domain.NotificationStates {
				if !state.Waits() {
					all = append(all, delivered{notificationIn(state, event(n+30+i), due, i), event(n + 30 + i)})
				}
			}
			recordAll(t, d.Log, all...)
			claimed = time.Now()
			by, err := d.Other.ClaimHeld(bounded(t), held.HeldBy, 10)
			must(t, "ClaimHeld", err)
			fault = claimedAs(t, byPause, by, held)
			return claimed, cmp.Or(fault, claimedAs(t, byDue, byDue.some(t, d.Log, due, 10), want...))
		})
	}},
}...)

var deliveryLogHeld = append(byPause.clauses(), []Clause[DeliveryLog]{
	{"ClaimHeld returns only deliveries that its pause holds, and that have no other claim", func(t testing.TB, d DeliveryLog) {
		withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
			paused := roundChannel(round)
			n := 100 * round
			want := byPause.nth(paused, n, 2)
			due := byDue.nth(paused, n+10, 2)[1] // held, too
			all := append(want, due)
			for i, other := range []domain.PauseKey{
				{Channel: paused}, {Channel: paused, Receiver: "Receiver"}, {Channel: paused, Receiver: "receiver2"}, {Receiver: "receiver"}, {Channel: "receiver", Receiver: paused},
			} {
				of := byPause.waiting(event(n+20+i), paused, i)
				of.HeldBy = other
				all = append(all, delivered{of, event(n + 20 + i)})
			}
			for i, state := range domain.NotificationStates {
				if of := notificationIn(state, event(n+30+i), paused, i); state != domain.Held {
					if state == domain.Retrying {
						of.NextTry = domain.TruncateTime(time.Now().Add(time.Hour))
					}
					all = append(all, delivered{of, event(n + 30 + i)})
				}
			}
			recordAll(t, d.Log, all...)
			claimed = time.Now()
			fault = claimedAs(t, byDue, byDue.some(t, d.Other, paused, 10), due)
			fault = cmp.Or(fault, claimedAs(t, byPause, byPause.some(t, d.Log, paused, 10), want...))
			whole, err := d.Log.ClaimHeld(bounded(t), domain.PauseKey{Channel: paused}, 10)
			must(t, "ClaimHeld", err)
			return claimed, cmp.Or(fault, claimedAs(t, byPause, whole, all[3]))
		})
	}},
}...)
