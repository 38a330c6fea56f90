package porttest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// unsent are the states of notifications that no receiver has accepted.
var unsent = slices.DeleteFunc(slices.Clone(domain.NotificationStates), func(s domain.NotificationState) bool { return s == domain.Sent })

var deliveryLogRecord = []Clause[DeliveryLog]{
	{"Record keeps every field as it was", func(t testing.TB, d DeliveryLog) {
		for i := range hardNotifications(event(0)) {
			event := event(i)
			want := hardNotifications(event)[i]
			recordWith(t, claimKey(t, d.Log, want.Key()), want, event)
			checkDeliveries(t, d, event.Order.ID, want)
		}
	}},

	{"Record keeps the event's origin while the notification waits, without the fields that break a rule", func(t testing.TB, d DeliveryLog) {
		var want []delivered
		wait := func(origin, kept domain.Origin) {
			event := order(len(want)).Created()
			event.Origin = kept
			of := byDue.waiting(event, channel, len(want))
			want = append(want, delivered{of, event})
			event.Origin = origin
			recordWith(t, claimKey(t, d.Log, of.Key()), of, event)
		}
		for _, origin := range hardOrigins() {
			wait(origin, origin)
		}
		for origin, kept := range brokenOrigins() {
			wait(origin, kept)
		}
		for _, got := range awaitWaiting(t, byDue, d.Other, channel, len(want)) {
			i := slices.IndexFunc(want, func(w delivered) bool { return w.EventID == got.Event.ID })
			if i < 0 {
				t.Fatalf("ClaimDue returned the delivery of %s, which was not recorded", got.Event.ID)
			}
			checkEqual(t, "event "+string(got.Event.ID)+" of a waiting delivery", want[i].Event, got.Event)
		}
	}},

	{"Record replaces the notification that was recorded before", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		full := hardNotifications(event)[1]
		bare := notificationIn(domain.Retrying, event, full.Channel, 2)
		bare.Recipient = full.Recipient
		full.NextTry = bare.NextTry // so that it is due
		recordWith(t, claimKey(t, d.Log, full.Key()), full, event)
		for _, want := range []domain.Notification{bare, full, bare} {
			due := awaitWaiting(t, byDue, d.Log, full.Channel, 1)
			recordWith(t, due[0].Claim, want, event)
			checkDeliveries(t, d, event.Order.ID, want)
		}
	}},

	{"Record keeps the attempts of a dead notification, up to the latest MaxAttempts", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		attempts := hardNotifications(event)[1].Attempts
		n := notificationIn(domain.Dead, event, channel, 1)
		for _, again := range []int{3, 2, domain.MaxAttempts - 1} {
			tried := n
			tried.Attempts = attempts[:again]
			record(t, claimDelivery(t, d.Other, event, channel), tried)
			all := append(slices.Clone(n.Attempts), tried.Attempts...)
			n.Attempts = all[max(0, len(all)-domain.MaxAttempts):]
			checkDeliveries(t, d, event.Order.ID, n)
		}
		sent := notification(event, channel, 2)
		record(t, claimDelivery(t, d.Log, event, channel), sent)
		sent.Attempts = n.Attempts
		checkDeliveries(t, d, event.Order.ID, sent)
	}},

	{"Record works after the claim has run out", func(t testing.TB, d DeliveryLog) {
		var late []ports.DeliveryClaim
		for n := range domain.NotificationStates {
			late = append(late, claimDelivery(t, d.Log, event(n), channel))
		}
		waitOut(d.Lease)
		for n, state := range domain.NotificationStates {
			want := notificationIn(state, event(n), channel, n)
			recordWith(t, late[n], want, event(n))
			checkDeliveries(t, d, event(n).Order.ID, want)
		}
	}},

	{"Record of a sent delivery works although another caller has claimed or recorded it", func(t testing.TB, d DeliveryLog) {
		claimed := event(len(unsent))
		late, next := contest(t, d, events(0, len(unsent)+1)...)
		for n, state := range unsent {
			recordWith(t, next[n], notificationIn(state, event(n), channel, 1), event(n))
			record(t, late[n], notification(event(n), channel, 2))
			checkRecorded(t, d, event(n), notification(event(n), channel, 2))
		}
		sent := notification(claimed, channel, 1)
		record(t, late[len(unsent)], sent)
		checkRecorded(t, d, claimed, sent)
		for n, state := range unsent { // the next caller's record comes too late
			recordWith(t, next[len(unsent)], notificationIn(state, claimed, channel, n), claimed)
			checkRecorded(t, d, claimed, sent)
		}
		checkNoneWaits(t, d, channel)
	}},

	{"Record of any other state changes nothing after another caller has claimed or recorded the delivery", func(t testing.TB, d DeliveryLog) {
		contested := events(0, len(unsent))
		late, next := contest(t, d, contested...)
		for n, event := range contested {
			recordWith(t, late[n], notificationIn(unsent[n], event, channel, 1), event)
			checkDeliveries(t, d, event.Order.ID)
			want := notificationIn(unsent[(n+1)%len(unsent)], event, channel, 2)
			recordWith(t, next[n], want, event)
			recordWith(t, late[n], notificationIn(unsent[n], event, channel, 3), event)
			checkDeliveries(t, d, event.Order.ID, want)
		}
		withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
			event := event(100 * round)
			late := claimDelivery(t, d.Log, event, channel)
			_, claimed = awaitDelivery(t, d.Other, event)
			recordWith(t, late, notificationIn(domain.Retrying, event, channel, 1), event)
			return claimed, notClaimed(t, d, event, ports.ErrClaimed)
		})
	}},

	{"Record of a sent delivery keeps the first such record", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		late, next := contest(t, d, event)
		record(t, next[0], notification(event, channel, 1))
		record(t, late[0], notification(event, channel, 2))
		record(t, next[0], notification(event, channel, 3))
		checkRecorded(t, d, event, notification(event, channel, 1))
	}},

	{"Record by many callers keeps one record", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		late, next := contest(t, d, event)
		var sent []domain.Notification
		for i := range 16 {
			sent = append(sent, notification(event, channel, i))
		}
		ctx := bounded(t)
		together(len(sent), func(i int) {
			if err := either(i, late, next)[0].Record(ctx, sent[i], domain.Event{}); err != nil {
				t.Errorf("record delivery of %s during other calls: %v", event.ID, err)
			}
		})
		list, err := d.Log.List(ctx, ports.NotificationQuery{OrderID: event.Order.ID, Limit: 1000})
		must(t, "list deliveries", err)
		if got := list.Notifications; len(got) != 1 || !slices.ContainsFunc(sent, func(n domain.Notification) bool { return cmp.Equal(n, got[0]) }) {
			t.Errorf("list of order %s: %+v, want one of the recorded deliveries", event.Order.ID, got)
		}
	}},

	{"Record and List of deliveries share no memory with their caller", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		all := hardNotifications(event)
		for _, n := range all {
			n.Attempts = slices.Clone(n.Attempts)
			recordWith(t, claimKey(t, d.Log, n.Key()), n, event)
			for i := range n.Attempts {
				n.Attempts[i].Answer = "changed by the caller"
			}
		}
		slices.SortFunc(all, ascending)
		for range 2 {
			checkDeliveries(t, d, event.Order.ID, all...)
			page, err := d.Log.List(bounded(t), ports.NotificationQuery{OrderID: event.Order.ID, Limit: 1000})
			must(t, "list deliveries", err)
			for i := range page.Notifications {
				page.Notifications[i].Channel = "changed by the caller"
				for j := range page.Notifications[i].Attempts {
					page.Notifications[i].Attempts[j].Answer = "changed by the caller"
				}
			}
		}
	}},

	{"Record with an ended context records nothing", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		claim := claimDelivery(t, d.Log, event, channel)
		for n, state := range domain.NotificationStates {
			checkEnded(t, "Record", func(ctx context.Context) error {
				return claim.Record(ctx, notificationIn(state, event, channel, n), event)
			})
		}
		checkDeliveries(t, d, event.Order.ID)
		record(t, claim, notification(event, channel, 2))
		checkDeliveries(t, d, event.Order.ID, notification(event, channel, 2))
	}},
}

var deliveryLogRelease = []Clause[DeliveryLog]{
	{"Release frees the delivery for the next caller at once", func(t testing.TB, d DeliveryLog) {
		withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
			event := event(round)
			claimed = time.Now()
			releaseDelivery(t, claimDelivery(t, d.Log, event, channel))
			for _, log := range []ports.DeliveryLog{d.Other, d.Log} {
				claim, err := log.Claim(bounded(t), keyOf(event, channel))
				if err != nil {
					return claimed, "claim " + string(event.ID) + " after its release: " + err.Error()
				}
				releaseDelivery(t, claim)
			}
			return claimed, ""
		})
	}},

	{"Release after Record does nothing", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		late, next := contest(t, d, event)
		record(t, next[0], notification(event, channel, 1))
		for _, claim := range []ports.DeliveryClaim{next[0], late[0]} {
			releaseDelivery(t, claim)
			checkRecorded(t, d, event, notification(event, channel, 1))
		}
	}},

	{"Release of a claim that has run out leaves the next caller's claim", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
			late, _ := awaitDelivery(t, d.Log, event)
			waitOut(d.Lease)
			next, claimed := awaitDelivery(t, d.Other, event)
			releaseDelivery(t, late)
			fault = notClaimed(t, d, event, ports.ErrClaimed)
			releaseDelivery(t, next)
			return claimed, fault
		})
		// Without a next caller, Release does nothing either.
		late, _ := awaitDelivery(t, d.Log, event)
		waitOut(d.Lease)
		releaseDelivery(t, late)
		awaitDelivery(t, d.Other, event)
	}},

	{"a second Release leaves the next caller's claim", func(t testing.TB, d DeliveryLog) {
		withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
			event := event(round)
			first := claimDelivery(t, d.Log, event, channel)
			releaseDelivery(t, first)
			claimed = time.Now()
			claimDelivery(t, d.Other, event, channel)
			releaseDelivery(t, first)
			return claimed, notClaimed(t, d, event, ports.ErrClaimed)
		})
	}},

	{"Release with an ended context releases nothing", func(t testing.TB, d DeliveryLog) {
		withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
			claimed = time.Now()
			claim := claimDelivery(t, d.Log, event(round), channel)
			checkEnded(t, "Release", claim.Release)
			return claimed, notClaimed(t, d, event(round), ports.ErrClaimed)
		})
	}},
}
