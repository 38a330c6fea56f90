package porttest

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// waitingClaim is ClaimDue, or ClaimHeld by one pause of the channel.
type waitingClaim struct {
	name  string
	first string // those that it returns first
	call  func(ctx context.Context, log ports.DeliveryLog, channel string, limit int) ([]ports.WaitingDelivery, error)

	// waiting returns a notification that call returns: that with the lowest n first.
	waiting func(event domain.Event, channel string, n int) domain.Notification
}

var byDue = waitingClaim{
	name:  "ClaimDue",
	first: "the longest due",
	call: func(ctx context.Context, log ports.DeliveryLog, channel string, limit int) ([]ports.WaitingDelivery, error) {
		return log.ClaimDue(ctx, channel, limit)
	},
	waiting: func(event domain.Event, channel string, n int) domain.Notification {
		of := notificationIn([]domain.NotificationState{domain.Retrying, domain.Held}[n%2], event, channel, -n)
		of.NextTry = of.NextTry.Add(time.Duration(n) * time.Second)
		return of
	},
}

var byPause = waitingClaim{
	name:  "ClaimHeld",
	first: "the longest held",
	call: func(ctx context.Context, log ports.DeliveryLog, channel string, limit int) ([]ports.WaitingDelivery, error) {
		return log.ClaimHeld(ctx, domain.PauseKey{Channel: channel, Receiver: "receiver"}, limit)
	},
	waiting: func(event domain.Event, channel string, n int) domain.Notification {
		of := notificationIn(domain.Held, event, channel, n)
		of.NextTry = of.NextTry.Add(2*time.Hour - time.Duration(n)*time.Second)
		return of
	},
}

// some claims up to limit notifications by the channel.
func (w waitingClaim) some(t testing.TB, log ports.DeliveryLog, channel string, limit int) []ports.WaitingDelivery {
	t.Helper()
	got, err := w.call(bounded(t), log, channel, limit)
	must(t, w.name, err)
	if len(got) > limit {
		t.Fatalf("%s returned %d deliveries, want at most %d", w.name, len(got), limit)
	}
	return got
}

// none returns a fault if either process can claim one by the channel.
func (w waitingClaim) none(t testing.TB, d DeliveryLog, channel string) (fault string) {
	t.Helper()
	for _, log := range []ports.DeliveryLog{d.Other, d.Log} {
		if got := w.some(t, log, channel, 10); len(got) > 0 {
			return fmt.Sprintf("%s returned %d deliveries, such as the %s one of %s, want none", w.name, len(got), got[0].Notification.State, got[0].Notification.EventID)
		}
	}
	return ""
}

// nth returns the first count notifications of a channel, with the events of orders
// from the nth on.
func (w waitingClaim) nth(channel string, n, count int) []delivered {
	var all []delivered
	for i := range count {
		all = append(all, delivered{w.waiting(event(n+i), channel, i), event(n + i)})
	}
	return all
}

// awaitWaiting claims until it has count deliveries.
func awaitWaiting(t testing.TB, by waitingClaim, log ports.DeliveryLog, channel string, count int) []ports.WaitingDelivery {
	t.Helper()
	var got []ports.WaitingDelivery
	eventually(t, fmt.Sprintf("%s returns %d deliveries", by.name, count), func() bool {
		got = append(got, by.some(t, log, channel, count-len(got))...)
		return len(got) == count
	})
	return got
}

// checkNoneWaits fails t if a delivery can be claimed that must not wait any more.
func checkNoneWaits(t testing.TB, d DeliveryLog, channel string) {
	t.Helper()
	for _, by := range []waitingClaim{byDue, byPause} {
		if fault := by.none(t, d, channel); fault != "" {
			t.Error(fault)
		}
	}
}

// claimedAs returns a fault unless these deliveries were claimed, in this order.
func claimedAs(t testing.TB, by waitingClaim, got []ports.WaitingDelivery, want ...delivered) (fault string) {
	t.Helper()
	plain := make([]delivered, len(got))
	for i, g := range got {
		if g.Claim == nil {
			t.Fatalf("%s returned the delivery of %s without a claim", by.name, g.Notification.EventID)
		}
		plain[i] = delivered{g.Notification, g.Event}
	}
	return difference(by.name, want, plain)
}

// roundChannel is the channel of a round, which finds nothing of the rounds before.
func roundChannel(round int) string { return fmt.Sprint("mail", round) }

func (w waitingClaim) clauses() []Clause[DeliveryLog] {
	return []Clause[DeliveryLog]{
		{w.name + " returns a delivery with every field as it was, and with its event", func(t testing.TB, d DeliveryLog) {
			for n, order := range hardOrders() {
				event := eventOf(order)
				hard := hardNotifications(event)[1+n%2]
				want := w.waiting(event, roundChannel(n), n)
				want.Recipient, want.Receiver, want.UserID = hard.Recipient, hard.Receiver, event.Order.UserID
				want.Reason, want.First, want.Attempt, want.Attempts = hard.Reason, hard.First, hard.Attempt, hard.Attempts
				recordWith(t, claimKey(t, d.Log, want.Key()), want, event)
				got := awaitWaiting(t, w, d.Other, want.Channel, 1)
				if fault := claimedAs(t, w, got, delivered{want, event}); fault != "" {
					t.Error(fault)
				}
			}
		}},

		{w.name + " returns " + w.first + " deliveries first, up to its limit", func(t testing.TB, d DeliveryLog) {
			withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
				channel := roundChannel(round)
				all := w.nth(channel, 100*round, 9)
				for _, i := range []int{4, 8, 0, 6, 2, 7, 1, 5, 3} {
					recordAll(t, d.Log, all[i])
				}
				claimed = time.Now()
				for _, part := range [][]delivered{all[:1], all[1:3], all[3:]} {
					limit := len(part)
					if limit == 6 {
						limit = ports.MaxListLimit
					}
					fault = cmp.Or(fault, claimedAs(t, w, w.some(t, d.Log, channel, limit), part...))
				}
				return claimed, cmp.Or(fault, w.none(t, d, channel))
			})
		}},

		{w.name + " by many callers gives each delivery to one of them", func(t testing.TB, d DeliveryLog) {
			const count, callers = 60, 16
			withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
				channel := roundChannel(round)
				recordAll(t, d.Log, w.nth(channel, 100*round, count)...)
				var mu sync.Mutex
				times, returned := map[domain.EventID]int{}, 0
				ctx := bounded(t)
				claimed = time.Now()
				together(callers, func(i int) {
					for {
						got, err := w.call(ctx, either(i, d.Log, d.Other), channel, 1+i%7)
						mu.Lock()
						if err != nil {
							fault = fmt.Sprintf("%s during other calls: %v", w.name, err)
						}
						for _, g := range got {
							times[g.Notification.EventID]++
						}
						returned += len(got)
						enough := returned > 2*count
						mu.Unlock()
						if len(got) == 0 || enough {
							return
						}
					}
				})
				for id, n := range times {
					if n > 1 {
						fault = fmt.Sprintf("%s returned the delivery of %s %d times, want once", w.name, id, n)
					}
				}
				if len(times) != count {
					fault = cmp.Or(fault, fmt.Sprintf("%s returned %d deliveries, want %d", w.name, len(times), count))
				}
				return claimed, fault
			})
		}},

		{w.name + " returns a claimed delivery again once the claim has run out", func(t testing.TB, d DeliveryLog) {
			var left delivered
			withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
				left = w.nth(roundChannel(round), round, 1)[0]
				recordAll(t, d.Log, left)
				claimed = time.Now()
				if fault = claimedAs(t, w, w.some(t, d.Log, left.Channel, 2), left); fault != "" {
					return claimed, fault
				}
				return claimed, watch(claimed, d.Lease, func() string { return w.none(t, d, left.Channel) })
			})
			for _, log := range []ports.DeliveryLog{d.Other, d.Log} { // the second claim runs out, too
				if fault := claimedAs(t, w, awaitWaiting(t, w, log, left.Channel, 1), left); fault != "" {
					t.Error(fault)
				}
			}
			_, err := d.Log.Claim(bounded(t), left.Key())
			checkError(t, "claim", err, ports.ErrExists, left.EventID)
		}},

		{"Release of a claim of " + w.name + " frees the delivery for its next call at once", func(t testing.TB, d DeliveryLog) {
			withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
				channel := roundChannel(round)
				all := w.nth(channel, 100*round, 2)
				recordAll(t, d.Log, all...)
				claimed = time.Now()
				for _, log := range []ports.DeliveryLog{d.Log, d.Other, d.Log} {
					got := w.some(t, log, channel, 10)
					if fault = cmp.Or(fault, claimedAs(t, w, got, all...)); len(got) == 2 {
						releaseDelivery(t, got[1].Claim)
						releaseDelivery(t, got[0].Claim)
					}
				}
				return claimed, fault
			})
		}},

		{"Record by a claim of " + w.name + " ends the waiting, unless the notification still waits", func(t testing.TB, d DeliveryLog) {
			for n, state := range domain.NotificationStates {
				channel := roundChannel(n)
				before := w.nth(channel, n, 1)[0]
				recordAll(t, d.Log, before)
				after := delivered{notificationIn(state, before.Event, channel, 1), before.Event}
				after.Event.Order.Product = "another product" // the event is replaced, too
				if state.Waits() {
					after.Notification = w.waiting(before.Event, channel, 5)
				}
				claim := awaitWaiting(t, w, d.Log, channel, 1)[0].Claim
				recordWith(t, claim, after.Notification, after.Event)
				checkDeliveries(t, d, after.OrderID, after.Notification)
				if !state.Waits() {
					checkNoneWaits(t, d, channel)
				} else if fault := claimedAs(t, w, awaitWaiting(t, w, d.Other, channel, 1), after); fault != "" {
					t.Error(fault)
				}
			}
		}},

		{"a late Record or Release by a claim of " + w.name + " changes nothing, unless it was sent", func(t testing.TB, d DeliveryLog) {
			lateClaims := func(channel string, n, count int) []ports.WaitingDelivery {
				recordAll(t, d.Log, w.nth(channel, n, count)...)
				late := awaitWaiting(t, w, d.Log, channel, count)
				waitOut(d.Lease)
				return late
			}
			late := lateClaims(channel, 0, len(unsent)+1)
			next := awaitWaiting(t, w, d.Other, channel, len(late))
			for i, state := range unsent {
				recordWith(t, late[i].Claim, notificationIn(state, late[i].Event, channel, 100), late[i].Event)
				checkDeliveries(t, d, late[i].Notification.OrderID, late[i].Notification)
			}
			last := late[len(unsent)]
			sent := notification(last.Event, channel, 1)
			record(t, last.Claim, sent)
			for _, n := range next {
				if n.Notification.EventID == sent.EventID {
					recordWith(t, n.Claim, notificationIn(domain.Retrying, n.Event, channel, 2), n.Event)
				}
			}
			checkDeliveries(t, d, sent.OrderID, sent)

			withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
				channel := roundChannel(round)
				late := lateClaims(channel, 100*round, 2)
				claimed = time.Now()
				if got := w.some(t, d.Other, channel, 2); len(got) != 2 {
					return claimed, fmt.Sprintf("%s returned %d deliveries after their claims ran out, want 2", w.name, len(got))
				}
				releaseDelivery(t, late[0].Claim)
				recordWith(t, late[1].Claim, w.waiting(late[1].Event, channel, 1), late[1].Event)
				return claimed, w.none(t, d, channel)
			})
		}},

		{w.name + " with an ended context claims no delivery", func(t testing.TB, d DeliveryLog) {
			withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
				channel := roundChannel(round)
				all := w.nth(channel, 100*round, 2)
				recordAll(t, d.Log, all...)
				claimed = time.Now()
				checkEnded(t, w.name, func(ctx context.Context) error { return errorOf(w.call(ctx, d.Log, channel, 10)) })
				return claimed, claimedAs(t, w, w.some(t, d.Other, channel, 10), all...)
			})
		}},
	}
}
