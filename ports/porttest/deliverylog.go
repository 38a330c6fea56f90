package porttest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// DeliveryLogClauses returns the contract of [ports.DeliveryLog].
func DeliveryLogClauses() []Clause[DeliveryLog] {
	return []Clause[DeliveryLog]{
		{"Claim keeps everybody else away until the claim runs out", deliveryClaimed},
		{"a delivery's claim that has run out can be had by the next, and again", deliveryClaimRunsOut},
		{"of many that claim a delivery at once one gets it", deliveryClaimAtOnce},
		{"Claim tells events and channels apart", deliveryKeys},
		{"Claim of what is recorded says that it exists, whoever asks and whenever", deliveryExists},
		{"List returns what was recorded with every field as it was", recordKeepsEveryField},
		{"Record holds after the claim has run out", recordLate},
		{"Record after another's keeps the first", recordSecond},
		{"of many that record at once the record of one stays", recordAtOnce},
		{"Release lets the next claim at once", releaseFrees},
		{"Release after Record does nothing", releaseRecorded},
		{"Release of a claim that has run out does nothing to the next one's", releaseLate},
		{"Release done twice does nothing to the next one's claim", releaseTwice},
		{"List returns the oldest first", listOldestFirst},
		{"List returns only what was recorded, and only the order's", listOnlyRecorded},
		{"List of deliveries leaves what it returned to the caller", listDeliverySlices},
		{"Claim with an ended context claims no delivery", deliveryClaimEnded},
		{"Record with an ended context records nothing", recordEnded},
		{"Release with an ended context releases nothing", releaseEnded},
		{"List of deliveries with an ended context says so", listDeliveriesEnded},
	}
}

const channel = "mail"

// notification returns that of the order's event, n seconds after the epoch.
func notification(event domain.Event, channel string, n int) domain.Notification {
	return domain.Notification{
		EventID: event.ID,
		OrderID: event.Order.ID,
		Channel: channel,
		Attempt: n%5 + 1,
		SentAt:  epoch.Add(time.Duration(n)*time.Second + 123*time.Millisecond),
	}
}

func claimDelivery(t testing.TB, log ports.DeliveryLog, event domain.Event, channel string) ports.DeliveryClaim {
	t.Helper()
	claim, err := log.Claim(bounded(t), event.ID, channel)
	if err != nil {
		t.Fatalf("claim delivery of a free event: %v", err)
	}
	if claim == nil {
		t.Fatal("claim delivery: no claim, and no error")
	}
	return claim
}

// awaitDelivery claims until it gets the claim, and returns when it asked for it.
func awaitDelivery(t testing.TB, log ports.DeliveryLog, event domain.Event) (claim ports.DeliveryClaim, asked time.Time) {
	t.Helper()
	eventually(t, "a claim runs out", func() bool {
		asked = time.Now()
		var err error
		claim, err = log.Claim(bounded(t), event.ID, channel)
		if err != nil && !errors.Is(err, ports.ErrClaimed) {
			t.Fatalf("claim delivery: %v", err)
		}
		return err == nil
	})
	return claim, asked
}

func record(t testing.TB, claim ports.DeliveryClaim, n domain.Notification) {
	t.Helper()
	if err := claim.Record(bounded(t), n); err != nil {
		t.Fatalf("record delivery: %v", err)
	}
}

func release(t testing.TB, claim ports.DeliveryClaim) {
	t.Helper()
	if err := claim.Release(bounded(t)); err != nil {
		t.Fatalf("release delivery: %v", err)
	}
}

// notClaimed returns the fault if a claim by either side does not end in want.
func notClaimed(t testing.TB, d DeliveryLog, event domain.Event, want error) (fault string) {
	t.Helper()
	for _, log := range []ports.DeliveryLog{d.Other, d.Log} {
		claim, err := log.Claim(bounded(t), event.ID, channel)
		switch {
		case err == nil:
			return "a claim was had, want error \"" + want.Error() + "\""
		case !errors.Is(err, want):
			return "claim delivery: error \"" + err.Error() + "\", want one that wraps \"" + want.Error() + "\""
		case claim != nil:
			return "claim delivery: a claim beside the error"
		}
		checkError(t, "claim delivery", err, want, string(event.ID))
	}
	return ""
}

func checkExists(t testing.TB, d DeliveryLog, event domain.Event) {
	t.Helper()
	if fault := notClaimed(t, d, event, ports.ErrExists); fault != "" {
		t.Error(fault)
	}
}

func checkDeliveries(t testing.TB, d DeliveryLog, order domain.OrderID, want ...domain.Notification) {
	t.Helper()
	for _, log := range []ports.DeliveryLog{d.Log, d.Other} {
		got, err := log.List(bounded(t), order)
		if err != nil {
			t.Fatalf("list deliveries: %v", err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("deliveries of order %s (-want +got):\n%s", order, diff)
		}
		for _, n := range got {
			if n.SentAt.Location() != time.UTC {
				t.Errorf("delivery of %s: sent at %v, want UTC", n.EventID, n.SentAt)
			}
		}
	}
}

func deliveryClaimed(t testing.TB, d DeliveryLog) {
	withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
		event := order(t, round).Created()
		claimed = time.Now()
		claimDelivery(t, d.Log, event, channel)
		for asked := false; !asked || time.Since(claimed) < d.Lease/2; asked = true {
			if fault := notClaimed(t, d, event, ports.ErrClaimed); fault != "" {
				return claimed, fault
			}
			time.Sleep(d.Lease / 12)
		}
		return claimed, ""
	})
}

func deliveryClaimRunsOut(t testing.TB, d DeliveryLog) {
	event := order(t, 1).Created()
	claimDelivery(t, d.Log, event, channel)
	awaitDelivery(t, d.Other, event)
	// The next one's claim is a claim like any other.
	withinLease(t, d.Lease, func(int) (claimed time.Time, fault string) {
		_, claimed = awaitDelivery(t, d.Log, event)
		return claimed, notClaimed(t, d, event, ports.ErrClaimed)
	})
	checkDeliveries(t, d, event.Order.ID)
}

func deliveryClaimAtOnce(t testing.TB, d DeliveryLog) {
	const callers = 32
	withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
		event := order(t, round).Created()
		ctx := bounded(t)
		var mu sync.Mutex
		got := 0
		claimed = time.Now()
		together(callers, func(i int) {
			log := d.Log
			if i%2 == 0 {
				log = d.Other
			}
			switch _, err := log.Claim(ctx, event.ID, channel); {
			case err == nil:
				mu.Lock()
				defer mu.Unlock()
				got++
			case !errors.Is(err, ports.ErrClaimed):
				t.Errorf("claim beside others: error %v, want none or one that wraps %q", err, ports.ErrClaimed)
			}
		})
		switch {
		case got == 0:
			t.Fatalf("none of %d callers got the claim", callers)
		case got > 1:
			fault = "several callers got the claim"
		}
		return claimed, fault
	})
}

func deliveryKeys(t testing.TB, d DeliveryLog) {
	one, other := order(t, 1).Created(), order(t, 2).Created()
	longer := one
	longer.ID += "2"
	n := 0
	for _, event := range []domain.Event{one, other, longer} {
		for _, channel := range []string{"mail", "2mail", "Mail", "m.ail", "$mail", "mail|x"} {
			n++
			record(t, claimDelivery(t, d.Log, event, channel), notification(event, channel, n))
		}
	}
	if got, err := d.Log.List(bounded(t), one.Order.ID); err != nil || len(got) != 12 {
		t.Errorf("list: %d deliveries, error %v; want 12", len(got), err)
	}
}

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
	got, err := d.Log.List(ctx, event.Order.ID)
	if err != nil {
		t.Fatalf("list deliveries: %v", err)
	}
	if len(got) != 1 || !slices.ContainsFunc(sent, func(n domain.Notification) bool { return cmp.Equal(n, got[0]) }) {
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
	second := event
	second.ID += "-2"
	var want []domain.Notification
	for n := range 6 {
		e := []domain.Event{event, second}[n%2]
		want = append(want, notification(e, []string{"z", "a", "m"}[n/2], n))
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
	for i := range got {
		got[i].Channel = "changed by the caller"
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
