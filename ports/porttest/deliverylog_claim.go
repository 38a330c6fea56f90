package porttest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

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
			claimed = time.Now()
			return claimed, oneClaims(t, d, event(round))
		})
	}},

	{"Claim distinguishes events, channels and recipients", func(t testing.TB, d DeliveryLog) {
		one, other := event(1), event(2)
		near := domain.Order{ID: one.Order.ID[:35] + "0"}.Created() // its id differs in one digit
		if near.ID == one.ID {
			near = domain.Order{ID: one.Order.ID[:35] + "1"}.Created()
		}
		longer := one // no event of a real order, but a key like any other
		longer.ID += "2"
		n := 0
		for _, event := range []domain.Event{one, other, near, longer} {
			for _, channel := range []string{"mail", "2mail", "Mail", "m.ail", "$mail", "mail|x", "maily"} {
				for _, recipient := range []string{"", domain.UserRecipient, "User", "y", "mail"} {
					n++
					of := notification(event, channel, n)
					of.Recipient = recipient
					record(t, claimKey(t, d.Log, of.Key()), of)
				}
			}
		}
		got, err := d.Log.List(bounded(t), ports.NotificationQuery{OrderID: one.Order.ID, Limit: 1000})
		must(t, "list deliveries", err)
		if len(got.Notifications) != 2*7*5 {
			t.Errorf("list of order %s: %d deliveries, want %d", one.Order.ID, len(got.Notifications), 2*7*5)
		}
	}},

	{"Claim of a recorded delivery always returns ErrExists, unless it is dead", func(t testing.TB, d DeliveryLog) {
		for n, state := range domain.NotificationStates {
			if state != domain.Dead {
				recordWith(t, claimDelivery(t, d.Log, event(n), channel), notificationIn(state, event(n), channel, n), event(n))
				checkRecorded(t, d, event(n))
			}
		}
		waitOut(d.Lease)
		for n, state := range domain.NotificationStates {
			if state != domain.Dead {
				checkRecorded(t, d, event(n))
			}
		}
	}},

	{"Claim gives a dead delivery to one caller at a time", func(t testing.TB, d DeliveryLog) {
		withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
			event := event(round)
			dead := notificationIn(domain.Dead, event, channel, 1)
			record(t, claimDelivery(t, d.Log, event, channel), dead)
			releaseDelivery(t, claimDelivery(t, d.Other, event, channel))
			claimed = time.Now()
			fault = oneClaims(t, d, event)
			checkDeliveries(t, d, event.Order.ID, dead)
			return claimed, fault
		})
		event := event(0)
		record(t, claimDelivery(t, d.Log, event, channel), notificationIn(domain.Dead, event, channel, 1))
		claimDelivery(t, d.Log, event, channel)
		next, _ := awaitDelivery(t, d.Other, event)
		record(t, next, notification(event, channel, 2))
		checkRecorded(t, d, event, notification(event, channel, 2))
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

// oneClaims returns a fault unless one of many callers of Claim succeeds.
func oneClaims(t testing.TB, d DeliveryLog, event domain.Event) (fault string) {
	t.Helper()
	_, fault = onlyOne(t, "claim "+string(event.ID), 32, ports.ErrClaimed, func(ctx context.Context, i int) error {
		return errorOf(either(i, d.Log, d.Other).Claim(ctx, keyOf(event, channel)))
	})
	return fault
}
