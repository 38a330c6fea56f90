package porttest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const channel = "mail"

// notification returns a notification of the event, sent n seconds after the
// epoch.
func notification(event domain.Event, channel string, n int) domain.Notification {
	return domain.Notification{
		EventID: event.ID,
		OrderID: event.Order.ID,
		Channel: channel,
		Attempt: n%5 + 1,
		State:   domain.Sent,
		At:      epoch.Add(time.Duration(n)*time.Second + 123*time.Millisecond),
	}
}

func claimDelivery(t testing.TB, log ports.DeliveryLog, event domain.Event, channel string) ports.DeliveryClaim {
	t.Helper()
	claim, err := log.Claim(bounded(t), keyOf(event, channel))
	must(t, fmt.Sprintf("claim free delivery of %s by channel %s", event.ID, channel), err)
	if claim == nil {
		t.Fatalf("claim delivery of %s by channel %s: neither a claim nor an error", event.ID, channel)
	}
	return claim
}

// awaitDelivery claims until it gets the claim. It returns the time before the
// successful call.
func awaitDelivery(t testing.TB, log ports.DeliveryLog, event domain.Event) (claim ports.DeliveryClaim, asked time.Time) {
	t.Helper()
	eventually(t, "the claim on "+string(event.ID)+" runs out", func() bool {
		asked = time.Now()
		var err error
		claim, err = log.Claim(bounded(t), keyOf(event, channel))
		if err != nil && !errors.Is(err, ports.ErrClaimed) {
			t.Fatalf("claim %s: %v", event.ID, err)
		}
		return err == nil
	})
	return claim, asked
}

// notClaimed returns a fault unless Claim by either process returns an error
// that wraps want.
func notClaimed(t testing.TB, d DeliveryLog, event domain.Event, want error) (fault string) {
	t.Helper()
	for _, log := range []ports.DeliveryLog{d.Other, d.Log} {
		claim, err := log.Claim(bounded(t), keyOf(event, channel))
		if !errors.Is(err, want) || claim != nil {
			return fmt.Sprintf("claim %s: claim %v and error %v, want no claim and an error that wraps %q", event.ID, claim, err, want)
		}
		checkError(t, "claim", err, want, event.ID)
	}
	return ""
}

var deliveryLogClaim = []Clause[DeliveryLog]{
	{"ClaimLease returns how long a delivery's claim lasts", func(t testing.TB, d DeliveryLog) {
		for _, log := range []ports.DeliveryLog{d.Log, d.Other} {
			if got := log.ClaimLease(); got != d.Lease {
				t.Errorf("ClaimLease is %v, want %v", got, d.Lease)
			}
		}
	}},

	{"Claim refuses a claimed delivery to each caller until the claim runs out", func(t testing.TB, d DeliveryLog) {
		withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
			claimed = time.Now()
			claimDelivery(t, d.Log, event(round), channel)
			return claimed, watch(claimed, d.Lease, func() string { return notClaimed(t, d, event(round), ports.ErrClaimed) })
		})
	}},

	{"Claim gives a delivery whose claim has run out to the next caller, each time", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		claimDelivery(t, d.Log, event, channel)
		awaitDelivery(t, d.Other, event)
		// The next caller's claim lasts as long as the first.
		withinLease(t, d.Lease, func(int) (claimed time.Time, fault string) {
			_, claimed = awaitDelivery(t, d.Log, event)
			return claimed, notClaimed(t, d, event, ports.ErrClaimed)
		})
		checkDeliveries(t, d, event.Order.ID)
	}},

	{"Claim by many callers succeeds for one of them", func(t testing.TB, d DeliveryLog) {
		withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
			id := event(round).ID
			claimed = time.Now()
			_, fault = onlyOne(t, "claim "+string(id), 32, ports.ErrClaimed, func(ctx context.Context, i int) error {
				return errorOf(either(i, d.Log, d.Other).Claim(ctx, domain.NotificationKey{EventID: id, Channel: channel}))
			})
			return claimed, fault
		})
	}},

	{"Claim distinguishes events and channels", func(t testing.TB, d DeliveryLog) {
		one, other := event(1), event(2)
		near := domain.Order{ID: one.Order.ID[:35] + "0"}.Created() // its id differs in one digit
		if near.ID == one.ID {
			near = domain.Order{ID: one.Order.ID[:35] + "1"}.Created()
		}
		longer := one // no event of a real order, but a key like any other
		longer.ID += "2"
		n := 0
		for _, event := range []domain.Event{one, other, near, longer} {
			for _, channel := range []string{"mail", "2mail", "Mail", "m.ail", "$mail", "mail|x"} {
				n++
				record(t, claimDelivery(t, d.Log, event, channel), notification(event, channel, n))
			}
		}
		got, err := d.Log.List(bounded(t), ports.NotificationQuery{OrderID: one.Order.ID, Limit: 1000})
		must(t, "list deliveries", err)
		if len(got.Notifications) != 12 {
			t.Errorf("list of order %s: %d deliveries, want 12", one.Order.ID, len(got.Notifications))
		}
	}},

	{"Claim of a recorded delivery always returns ErrExists", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		record(t, claimDelivery(t, d.Log, event, channel), notification(event, channel, 1))
		checkRecorded(t, d, event)
		waitOut(d.Lease)
		checkRecorded(t, d, event)
	}},

	{"Claim with an ended context claims no delivery", func(t testing.TB, d DeliveryLog) {
		withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
			id := event(round).ID
			claimed = time.Now()
			checkEnded(t, "Claim", func(ctx context.Context) error {
				return errorOf(d.Log.Claim(ctx, domain.NotificationKey{EventID: id, Channel: channel}))
			})
			if _, err := d.Other.Claim(bounded(t), domain.NotificationKey{EventID: id, Channel: channel}); err != nil {
				fault = fmt.Sprintf("claim %s after a Claim with an ended context: error %v, want nil", id, err)
			}
			return claimed, fault
		})
	}},
}

func keyOf(event domain.Event, channel string) domain.NotificationKey {
	return domain.NotificationKey{EventID: event.ID, Channel: channel}
}
