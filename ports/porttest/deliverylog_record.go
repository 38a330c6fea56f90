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

func deliveryExists(t testing.TB, d DeliveryLog) {
	event := order(t, 1).Created()
	record(t, claimDelivery(t, d.Log, event, channel), notification(event, channel, 1))
	checkExists(t, d, event)
	waitOut(d.Lease)
	checkExists(t, d, event)
}

func recordKeepsEveryField(t testing.TB, d DeliveryLog) {
	event := order(t, 1).Created()
	want := domain.Notification{
		EventID: event.ID, OrderID: event.Order.ID, Channel: "a.b $c", Attempt: 1_000_000,
		SentAt: time.Date(2026, 12, 31, 23, 59, 59, 999_000_000, time.UTC),
	}
	record(t, claimDelivery(t, d.Log, event, want.Channel), want)
	checkDeliveries(t, d, event.Order.ID, want)
}

func recordLate(t testing.TB, d DeliveryLog) {
	alone, contested := order(t, 1).Created(), order(t, 2).Created()

	late := claimDelivery(t, d.Log, alone, channel)
	waitOut(d.Lease)
	record(t, late, notification(alone, channel, 1))
	checkExists(t, d, alone)
	checkDeliveries(t, d, alone.Order.ID, notification(alone, channel, 1))

	late = claimDelivery(t, d.Log, contested, channel)
	awaitDelivery(t, d.Other, contested)
	record(t, late, notification(contested, channel, 2))
	checkExists(t, d, contested)
	checkDeliveries(t, d, contested.Order.ID, notification(contested, channel, 2))
}

func recordSecond(t testing.TB, d DeliveryLog) {
	event := order(t, 1).Created()
	late := claimDelivery(t, d.Log, event, channel)
	next, _ := awaitDelivery(t, d.Other, event)
	record(t, next, notification(event, channel, 1))
	record(t, late, notification(event, channel, 2))
	record(t, next, notification(event, channel, 3))
	checkExists(t, d, event)
	checkDeliveries(t, d, event.Order.ID, notification(event, channel, 1))
}

func recordAtOnce(t testing.TB, d DeliveryLog) {
	event := order(t, 1).Created()
	late := claimDelivery(t, d.Log, event, channel)
	next, _ := awaitDelivery(t, d.Other, event)
	claims := []ports.DeliveryClaim{late, next}
	ctx := bounded(t)
	var sent []domain.Notification
	for i := range 16 {
		sent = append(sent, notification(event, channel, i))
	}
	together(len(sent), func(i int) {
		if err := claims[i%2].Record(ctx, sent[i]); err != nil {
			t.Errorf("record beside others: %v", err)
		}
	})
	list, err := d.Log.List(ctx, event.Order.ID)
	if err != nil {
		t.Fatalf("list deliveries: %v", err)
	}
	if got := list.Notifications; len(got) != 1 || !slices.ContainsFunc(sent, func(n domain.Notification) bool { return cmp.Equal(n, got[0]) }) {
		t.Errorf("list returned %+v, want one of those that were recorded", got)
	}
}

func releaseFrees(t testing.TB, d DeliveryLog) {
	withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
		event := order(t, round).Created()
		claimed = time.Now()
		release(t, claimDelivery(t, d.Log, event, channel))
		for _, log := range []ports.DeliveryLog{d.Other, d.Log} {
			claim, err := log.Claim(bounded(t), event.ID, channel)
			if err != nil {
				return claimed, "claim of what was released: " + err.Error()
			}
			release(t, claim)
		}
		return claimed, ""
	})
}

func releaseRecorded(t testing.TB, d DeliveryLog) {
	event := order(t, 1).Created()
	late := claimDelivery(t, d.Log, event, channel)
	next, _ := awaitDelivery(t, d.Other, event)
	record(t, next, notification(event, channel, 1))
	for _, claim := range []ports.DeliveryClaim{next, late} {
		release(t, claim)
		checkExists(t, d, event)
		checkDeliveries(t, d, event.Order.ID, notification(event, channel, 1))
	}
}

func releaseLate(t testing.TB, d DeliveryLog) {
	event := order(t, 1).Created()
	withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
		late, _ := awaitDelivery(t, d.Log, event)
		waitOut(d.Lease)
		next, claimed := awaitDelivery(t, d.Other, event)
		release(t, late)
		fault = notClaimed(t, d, event, ports.ErrClaimed)
		release(t, next)
		return claimed, fault
	})
	// With nobody after it, nothing is what it does too.
	late, _ := awaitDelivery(t, d.Log, event)
	waitOut(d.Lease)
	release(t, late)
	awaitDelivery(t, d.Other, event)
}

func releaseTwice(t testing.TB, d DeliveryLog) {
	withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
		event := order(t, round).Created()
		first := claimDelivery(t, d.Log, event, channel)
		release(t, first)
		claimed = time.Now()
		claimDelivery(t, d.Other, event, channel)
		release(t, first)
		return claimed, notClaimed(t, d, event, ports.ErrClaimed)
	})
}

func listOldestFirst(t testing.TB, d DeliveryLog) {
	event := order(t, 1).Created()
	var want []domain.Notification
	for n, channel := range []string{"z", "b", "a", "y", "m", "c"} {
		want = append(want, notification(event, channel, n))
	}
	for _, n := range []int{3, 0, 5, 1, 4, 2} { // recorded in another order than sent
		claim, err := d.Log.Claim(bounded(t), want[n].EventID, want[n].Channel)
		if err != nil {
			t.Fatalf("claim delivery: %v", err)
		}
		record(t, claim, want[n])
	}
	checkDeliveries(t, d, event.Order.ID, want...)
}

func listOnlyRecorded(t testing.TB, d DeliveryLog) {
	mine, other := order(t, 1).Created(), order(t, 2).Created()
	checkDeliveries(t, d, mine.Order.ID)
	release(t, claimDelivery(t, d.Log, mine, "released"))
	claimDelivery(t, d.Log, mine, "claimed")
	record(t, claimDelivery(t, d.Log, other, "mail"), notification(other, "mail", 1))
	record(t, claimDelivery(t, d.Log, mine, "mail"), notification(mine, "mail", 2))
	checkDeliveries(t, d, mine.Order.ID, notification(mine, "mail", 2))
	checkDeliveries(t, d, other.Order.ID, notification(other, "mail", 1))
	checkDeliveries(t, d, orderID(3))
}

func listDeliverySlices(t testing.TB, d DeliveryLog) {
	event := order(t, 1).Created()
	var want []domain.Notification
	for n, channel := range []string{"mail", "log"} {
		want = append(want, notification(event, channel, n))
		record(t, claimDelivery(t, d.Log, event, channel), want[n])
	}
	got, err := d.Log.List(bounded(t), event.Order.ID)
	if err != nil {
		t.Fatalf("list deliveries: %v", err)
	}
	for i := range got.Notifications {
		got.Notifications[i].Channel = "changed by the caller"
	}
	checkDeliveries(t, d, event.Order.ID, want...)
}

func deliveryClaimEnded(t testing.TB, d DeliveryLog) {
	withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
		event := order(t, round).Created()
		claimed = time.Now()
		checkEnded(t, "Claim", func(ctx context.Context) error {
			_, err := d.Log.Claim(ctx, event.ID, channel)
			return err
		})
		if _, err := d.Other.Claim(bounded(t), event.ID, channel); err != nil {
			fault = "claim after one with an ended context: " + err.Error()
		}
		return claimed, fault
	})
}

func recordEnded(t testing.TB, d DeliveryLog) {
	event := order(t, 1).Created()
	claim := claimDelivery(t, d.Log, event, channel)
	checkEnded(t, "Record", func(ctx context.Context) error {
		return claim.Record(ctx, notification(event, channel, 1))
	})
	checkDeliveries(t, d, event.Order.ID)
	record(t, claim, notification(event, channel, 2))
	checkDeliveries(t, d, event.Order.ID, notification(event, channel, 2))
}

func releaseEnded(t testing.TB, d DeliveryLog) {
	withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
		event := order(t, round).Created()
		claimed = time.Now()
		claim := claimDelivery(t, d.Log, event, channel)
		checkEnded(t, "Release", claim.Release)
		return claimed, notClaimed(t, d, event, ports.ErrClaimed)
	})
}

func listDeliveriesEnded(t testing.TB, d DeliveryLog) {
	checkEnded(t, "List", func(ctx context.Context) error {
		_, err := d.Log.List(ctx, orderID(1))
		return err
	})
}
