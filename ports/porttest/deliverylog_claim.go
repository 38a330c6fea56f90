package porttest

import (
	"errors"
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
		{"ClaimLease tells how long a delivery's claim lasts", deliveryClaimLease},
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
		if diff := cmp.Diff(ports.NotificationList{Notifications: want}, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("deliveries of order %s (-want +got):\n%s", order, diff)
		}
		for _, n := range got.Notifications {
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

func deliveryClaimLease(t testing.TB, d DeliveryLog) {
	for _, log := range []ports.DeliveryLog{d.Log, d.Other} {
		if got := log.ClaimLease(); got != d.Lease {
			t.Errorf("a claim lasts for %v, want %v", got, d.Lease)
		}
	}
}

func deliveryKeys(t testing.TB, d DeliveryLog) {
	one, other := order(t, 1).Created(), order(t, 2).Created()
	near := domain.Order{ID: one.Order.ID[:35] + "0"}.Created() // its id differs in one digit
	if near.ID == one.ID {
		near = domain.Order{ID: one.Order.ID[:35] + "1"}.Created()
	}
	longer := one // no event of ours, but a key like any other
	longer.ID += "2"
	n := 0
	for _, event := range []domain.Event{one, other, near, longer} {
		for _, channel := range []string{"mail", "2mail", "Mail", "m.ail", "$mail", "mail|x"} {
			n++
			record(t, claimDelivery(t, d.Log, event, channel), notification(event, channel, n))
		}
	}
	if got, err := d.Log.List(bounded(t), one.Order.ID); err != nil || len(got.Notifications) != 12 {
		t.Errorf("list: %d deliveries, error %v; want 12", len(got.Notifications), err)
	}
}
