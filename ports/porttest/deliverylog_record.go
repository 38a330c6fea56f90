package porttest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func record(t testing.TB, claim ports.DeliveryClaim, n domain.Notification) {
	t.Helper()
	must(t, "record delivery of "+string(n.EventID), claim.Record(bounded(t), n, domain.Event{}))
}

// checkRecorded fails t unless Claim refuses the event as recorded, and the list
// of its order has the notifications, if any are given.
func checkRecorded(t testing.TB, d DeliveryLog, event domain.Event, want ...domain.Notification) {
	t.Helper()
	if fault := notClaimed(t, d, event, ports.ErrExists); fault != "" {
		t.Error(fault)
	}
	if len(want) > 0 {
		checkDeliveries(t, d, event.Order.ID, want...)
	}
}

// contest returns two claims on the event: one that has run out, and the one
// that came after it.
func contest(t testing.TB, d DeliveryLog, event domain.Event) (late, next ports.DeliveryClaim) {
	t.Helper()
	late = claimDelivery(t, d.Log, event, channel)
	next, _ = awaitDelivery(t, d.Other, event)
	return late, next
}

var deliveryLogRecord = []Clause[DeliveryLog]{
	{"Record keeps every field as it was", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		want := domain.Notification{
			EventID: event.ID, OrderID: event.Order.ID, Channel: "a.b $c", Attempt: 1_000_000,
			State: domain.Sent, At: time.Date(2026, 12, 31, 23, 59, 59, 999_000_000, time.UTC),
		}
		record(t, claimDelivery(t, d.Log, event, want.Channel), want)
		checkDeliveries(t, d, event.Order.ID, want)
	}},

	{"Record works after the claim has run out", func(t testing.TB, d DeliveryLog) {
		alone, contested := event(1), event(2)
		late := claimDelivery(t, d.Log, alone, channel)
		waitOut(d.Lease)
		record(t, late, notification(alone, channel, 1))
		checkRecorded(t, d, alone, notification(alone, channel, 1))

		late, _ = contest(t, d, contested)
		record(t, late, notification(contested, channel, 2))
		checkRecorded(t, d, contested, notification(contested, channel, 2))
	}},

	{"Record after another caller's keeps the first record", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		late, next := contest(t, d, event)
		record(t, next, notification(event, channel, 1))
		record(t, late, notification(event, channel, 2))
		record(t, next, notification(event, channel, 3))
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
			if err := either(i, late, next).Record(ctx, sent[i], domain.Event{}); err != nil {
				t.Errorf("record delivery of %s during other calls: %v", event.ID, err)
			}
		})
		list, err := d.Log.List(ctx, ports.NotificationQuery{OrderID: event.Order.ID, Limit: 1000})
		must(t, "list deliveries", err)
		if got := list.Notifications; len(got) != 1 || !slices.ContainsFunc(sent, func(n domain.Notification) bool { return cmp.Equal(n, got[0]) }) {
			t.Errorf("list of order %s: %+v, want one of the recorded deliveries", event.Order.ID, got)
		}
	}},

	{"Record with an ended context records nothing", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		claim := claimDelivery(t, d.Log, event, channel)
		checkEnded(t, "Record", func(ctx context.Context) error { return claim.Record(ctx, notification(event, channel, 1), event) })
		checkDeliveries(t, d, event.Order.ID)
		record(t, claim, notification(event, channel, 2))
		checkDeliveries(t, d, event.Order.ID, notification(event, channel, 2))
	}},
}

func releaseDelivery(t testing.TB, claim ports.DeliveryClaim) {
	t.Helper()
	must(t, "release delivery", claim.Release(bounded(t)))
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
					return claimed, fmt.Sprintf("claim %s after its release: error %v, want nil", event.ID, err)
				}
				releaseDelivery(t, claim)
			}
			return claimed, ""
		})
	}},

	{"Release after Record does nothing", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		late, next := contest(t, d, event)
		record(t, next, notification(event, channel, 1))
		for _, claim := range []ports.DeliveryClaim{next, late} {
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
