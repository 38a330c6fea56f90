package porttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// deliveryModel knows what a delivery log has.
type deliveryModel struct {
	records map[domain.NotificationKey]domain.Notification
	gone    map[domain.NotificationKey]ports.DeliveryAccount // expired, by a key without the event
}

func newDeliveryModel() deliveryModel {
	return deliveryModel{map[domain.NotificationKey]domain.Notification{}, map[domain.NotificationKey]ports.DeliveryAccount{}}
}

func (m deliveryModel) record(n domain.Notification) { m.records[n.Key()] = n }

func (m deliveryModel) account() []ports.DeliveryAccount {
	accounts := maps.Clone(m.gone)
	for _, n := range m.records {
		key := domain.NotificationKey{Channel: n.Channel, Recipient: n.Recipient}
		a := accounts[key]
		switch a.Channel, a.Recipient = n.Channel, n.Recipient; n.State {
		case domain.Sent:
			a.Sent++
		case domain.Skipped:
			a.Skipped++
		case domain.Retrying:
			a.Retrying = withOne(a.Retrying, n.Since())
		case domain.Held:
			a.Held = withOne(a.Held, n.Since())
		case domain.Dead:
			a.Dead = withOne(a.Dead, n.Since())
		}
		accounts[key] = a
	}
	return slices.SortedFunc(maps.Values(accounts), func(a, b ports.DeliveryAccount) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Recipient, b.Recipient))
	})
}

// expire expires what does not wait and has not changed since before.
func (m deliveryModel) expire(before time.Time) (expired int) {
	for key, n := range m.records {
		if n.State.Waits() || !n.At.Before(before) {
			continue
		}
		of := domain.NotificationKey{Channel: n.Channel, Recipient: n.Recipient}
		a := m.gone[of]
		switch a.Channel, a.Recipient = n.Channel, n.Recipient; n.State {
		case domain.Sent:
			a.Sent++
		case domain.Skipped:
			a.Skipped++
		case domain.Dead:
			a.Expired++
		}
		m.gone[of] = a
		delete(m.records, key)
		expired++
	}
	return expired
}

// forget makes what waits Skipped, and empties the user of all.
func (m deliveryModel) forget() {
	for key, n := range m.records {
		if n.State.Waits() {
			n.State = domain.Skipped
			n.At = domain.TruncateTime(time.Now())
		}
		n.UserID = ""
		m.records[key] = n
	}
}

// checkAccount fails t unless both processes return the model's account.
func (m deliveryModel) check(t testing.TB, d DeliveryLog) {
	t.Helper()
	for _, log := range []ports.DeliveryLog{d.Log, d.Other} {
		got, err := log.Account(bounded(t))
		must(t, "count deliveries", err)
		checkEqual(t, "account of the deliveries", m.account(), got)
	}
}

// since returns the notification of the event in this state, n seconds after the epoch,
// with attempts unless it is skipped.
func toRecipient(recipient string, state domain.NotificationState, e domain.Event, n int) domain.Notification {
	of := notificationIn(state, e, channel, n)
	of.Recipient = recipient
	if n%3 > 0 {
		of.Attempts = []domain.Attempt{{At: of.At.Add(-time.Minute), Outcome: domain.Unreachable}, {At: of.At, Outcome: domain.Refused}}
	}
	if n%3 == 2 {
		of.First = of.At.Add(-time.Hour)
	}
	return of
}

var deliveryLogAccount = []Clause[DeliveryLog]{
	{"Account counts the notifications of each channel and recipient by their states, with the times of the oldest", func(t testing.TB, d DeliveryLog) {
		m := newDeliveryModel()
		m.check(t, d)
		claimDelivery(t, d.Log, event(1000), channel) // a claim alone does not count
		for i := range 40 {
			e := event(i)
			n := toRecipient([]string{"", domain.UserRecipient, "ware.house $1"}[i%3], domain.NotificationStates[i%5], e, i*7%40)
			if i%2 == 0 {
				n.Channel = `a.b$c'"`
			}
			recordWith(t, claimKey(t, d.Log, n.Key()), n, e)
			m.record(n)
			if i < 12 {
				m.check(t, d)
			}
		}
		m.check(t, d)
	}},

	{"Account follows a notification from state to state", func(t testing.TB, d DeliveryLog) {
		m, e := newDeliveryModel(), event(1)
		late := claimDelivery(t, d.Log, e, channel)
		waitOut(d.Lease)
		claim := claimDelivery(t, d.Other, e, channel)
		for i, state := range []domain.NotificationState{domain.Retrying, domain.Held, domain.Retrying, domain.Dead, domain.Dead, domain.Skipped} {
			n := notificationIn(state, e, channel, i)
			recordWith(t, claim, n, e)
			m.record(n)
			m.check(t, d)
			switch state {
			case domain.Retrying:
				claim = awaitWaiting(t, byDue, d.Log, channel, 1)[0].Claim
			case domain.Held:
				claim = awaitWaiting(t, byPause, d.Log, channel, 1)[0].Claim
			case domain.Dead:
				claim = claimDelivery(t, d.Other, e, channel)
			}
		}
		record(t, late, notificationIn(domain.Dead, e, channel, 10)) // too late
		m.check(t, d)
		for range 2 { // it was sent, whatever the record says; the second changes nothing
			record(t, late, notification(e, channel, 11))
			m.record(notification(e, channel, 11))
			m.check(t, d)
		}
	}},

	{"Account counts what Expire has deleted and Forget has changed", func(t testing.TB, d DeliveryLog) {
		m := newDeliveryModel()
		for i := range 15 {
			n := toRecipient("", domain.NotificationStates[i%5], event(i), i)
			recordWith(t, claimKey(t, d.Log, n.Key()), n, event(i))
			m.record(n)
		}
		for _, before := range []time.Duration{5 * time.Second, time.Minute} {
			expire(t, d.Other, epoch.Add(before), 100, m.expire(epoch.Add(before)))
			m.check(t, d)
		}
		forget(t, d.Log, "user", len(m.records))
		m.forget()
		m.check(t, d)
		expire(t, d.Log, time.Now().Add(time.Hour), 100, m.expire(time.Now().Add(time.Hour)))
		m.check(t, d)
		n := notification(event(0), channel, 1) // once more, because the log does not know it any more
		record(t, claimKey(t, d.Log, n.Key()), n)
		m.record(n)
		m.check(t, d)
	}},

	{"Account of the deliveries adds up after any calls", func(t testing.TB, d DeliveryLog) {
		m := newDeliveryModel()
		random := rand.New(rand.NewPCG(3, 4))
		for i := range 80 {
			log := either(i, d.Log, d.Other)
			switch e := event(random.IntN(10)); random.IntN(8) {
			case 0:
				expire(t, log, epoch.Add(time.Hour), 100, m.expire(epoch.Add(time.Hour)))
			case 1:
				if m.ofUser() > 0 {
					forget(t, log, "user", m.ofUser())
					m.forget()
				}
			case 2:
				waiting, err := log.ClaimDue(bounded(t), channel, 10)
				must(t, "claim due deliveries", err)
				for _, w := range waiting {
					m.recordRandom(t, random, w.Claim, w.Event, i)
				}
			default:
				claim, err := log.Claim(bounded(t), keyOf(e, channel))
				if err == nil {
					m.recordRandom(t, random, claim, e, i)
				} else if !errors.Is(err, ports.ErrExists) {
					t.Fatal(fmt.Errorf("claim delivery of %s: %w", e.ID, err))
				}
			}
			m.check(t, d)
		}
	}},

	{"Account and Holder: Holder names who has claimed a delivery, until when", func(t testing.TB, d DeliveryLog) {
		check := func(e domain.Event, claimed bool) (fault string) {
			t.Helper()
			for _, log := range []ports.DeliveryLog{d.Log, d.Other} {
				holder, err := log.Holder(bounded(t), keyOf(e, channel))
				must(t, "find claim", err)
				if now := time.Now(); claimed != (holder.Process != "") || claimed && (holder.Until.Before(now) || holder.Until.After(now.Add(2*d.Lease))) {
					return fmt.Sprintf("the holder of %s is %+v, want one: %v", e.ID, holder, claimed)
				}
			}
			return ""
		}
		withinLease(t, d.Lease, func(round int) (claimed time.Time, fault string) {
			e := event(round)
			faults := []string{check(e, false)}
			claimed = time.Now()
			claim := claimDelivery(t, d.Log, e, channel)
			faults = append(faults, check(e, true))
			releaseDelivery(t, claim)
			faults = append(faults, check(e, false))
			claim = claimDelivery(t, d.Log, e, channel)
			recordWith(t, claim, notificationIn(domain.Retrying, e, channel, 1), e)
			faults = append(faults, check(e, false))
			claim = awaitWaiting(t, byDue, d.Other, channel, 1)[0].Claim
			faults = append(faults, check(e, true))
			record(t, claim, notificationIn(domain.Dead, e, channel, 1))
			faults = append(faults, check(e, false))
			return claimed, cmp.Or(faults...)
		})
		checkEnded(t, "Holder", func(ctx context.Context) error { return errorOf(d.Log.Holder(ctx, keyOf(event(1), channel))) })
	}},

	{"Account of the deliveries with an ended context returns its error", func(t testing.TB, d DeliveryLog) {
		checkEnded(t, "Account", func(ctx context.Context) error { return errorOf(d.Log.Account(ctx)) })
	}},
}

// recordRandom records the notification in a random state, or releases the claim.
func (m deliveryModel) recordRandom(t testing.TB, random *rand.Rand, claim ports.DeliveryClaim, e domain.Event, n int) {
	t.Helper()
	i := random.IntN(len(domain.NotificationStates) + 1)
	if i == len(domain.NotificationStates) {
		releaseDelivery(t, claim)
		return
	}
	of := notificationIn(domain.NotificationStates[i], e, channel, n)
	recordWith(t, claim, of, e)
	m.record(of)
}

func (m deliveryModel) ofUser() (n int) {
	for _, record := range m.records {
		if record.UserID != "" {
			n++
		}
	}
	return n
}
