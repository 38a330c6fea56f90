package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/services/cmd/proof/harness"
)

// reached is the evidence of a good run in which each kind of user has placed an order.
func reached() *account {
	a := &account{
		journal: disturbedAtNoon(), killWindow: serversWindow, since: noon.Add(-time.Hour),
		arrivals: map[string]map[string]harness.Arrival{harness.Email: {}, harness.Webhook: {}}, arrivalFaults: make(map[string][]string),
	}
	a.windows = append(a.windows,
		&window{[]string{killed("notification-1")}, noon, noon},
		&window{[]string{harness.Webhook}, noon.Add(time.Minute), noon.Add(2 * time.Minute)})
	for n := range userKinds {
		o := Order{ID: orderID(n), UserID: userID(n), CreatedAt: noon}
		a.orders = append(a.orders, storedOrder{Order: o})
		for _, r := range recipients {
			recorded := record{OrderID: o.ID, SentAt: noon.Add(time.Second), State: "skipped"}
			recorded.ID.EventID, recorded.ID.Channel, recorded.ID.Recipient = eventOf(o.ID), r.channel, r.name
			if r.wants(o.UserID) {
				recorded.State, recorded.Attempt = "", 1
				a.arrivals[r.channel][r.key(o.ID)] = harness.Arrival{To: r.address(o.UserID), Times: []time.Time{noon.Add(time.Second)}}
			}
			a.records = append(a.records, recorded)
		}
	}
	return a
}

func (a *account) settleAllChannels() {
	orders := make(map[string]storedOrder)
	for _, o := range a.orders {
		orders[o.ID] = o
	}
	a.settleChannels(orders)
}

func TestChannels(t *testing.T) {
	mail, hook, operator := recipients[0], recipients[1], recipients[2]
	byMail, byHook := promisesOf[harness.Email], promisesOf[harness.Webhook]
	at := func(seconds ...int) (times []time.Time) {
		for _, s := range seconds {
			times = append(times, noon.Add(time.Duration(s)*time.Second))
		}
		return times
	}
	// change changes what is known of an order's notification.
	change := func(r recipient, order int, f func(*record, *harness.Arrival)) func(*account) {
		return func(a *account) {
			key := r.key(orderID(order))
			got := a.arrivals[r.channel][key]
			for i := range a.records {
				if id := a.records[i].ID; id.EventID+"."+id.Channel+"."+id.Recipient == key {
					f(&a.records[i], &got)
				}
			}
			delete(a.arrivals[r.channel], key)
			if len(got.Times) > 0 || got.Refused > 0 {
				a.arrivals[r.channel][key] = got
			}
		}
	}
	arrived := func(r recipient, recorded int, seconds ...int) func(*account) {
		return change(r, 2, func(rec *record, got *harness.Arrival) { rec.SentAt, got.Times = at(recorded)[0], at(seconds...) })
	}
	const both, off, nobody = 2, 3, 4 // kinds of users
	tests := []struct {
		name   string
		change func(*account)
		breaks []promise
		cause  cause
	}{
		{"nothing wrong", func(*account) {}, nil, ""},
		{"a mail lost", change(mail, both, func(_ *record, got *harness.Arrival) { got.Times = nil }), []promise{byMail.arrives}, ""},
		{"a webhook lost", change(hook, both, func(_ *record, got *harness.Arrival) { got.Times = nil }), []promise{byHook.arrives}, ""},
		{"the operator's webhook lost", change(operator, nobody, func(_ *record, got *harness.Arrival) { got.Times = nil }), []promise{byHook.arrives}, ""},
		{"a mail to a user who wants none", change(mail, off, func(_ *record, got *harness.Arrival) {
			got.To, got.Times = mail.address(userID(off)), at(1)
		}), []promise{byMail.skips}, ""},
		{"a mail to another user", change(mail, both, func(_ *record, got *harness.Arrival) { got.To = "else@example.com" }), []promise{byMail.skips}, ""},
		{"a mail of no order", func(a *account) {
			a.arrivals[harness.Email][mail.key(orderID(9))] = harness.Arrival{Times: at(1)}
		}, []promise{byMail.skips}, ""},
		{"arrived, but recorded as held", change(mail, both, func(rec *record, _ *harness.Arrival) { rec.State = "held" }), []promise{byMail.agrees}, ""},
		{"arrived, but dead", change(mail, both, func(rec *record, _ *harness.Arrival) { rec.State = "dead" }), []promise{byMail.noneDead}, ""},
		{"skipped, but not recorded", func(a *account) { a.records = a.records[:len(a.records)-2] }, []promise{byHook.agrees}, ""},
		{"recorded before it arrived", arrived(mail, 1, 2), []promise{byMail.agrees}, ""},
		{"an order of before there were queues", func(a *account) {
			a.since = noon.Add(time.Hour)
			a.records, a.arrivals = nil, nil
		}, nil, ""},
		{"such an order arrived after all", func(a *account) { a.since = noon.Add(time.Hour) }, nil, ""},

		{"refused once", change(mail, both, func(rec *record, got *harness.Arrival) { rec.Attempt, got.Refused = 2, 1 }), nil, ""},
		{"refused, and the answer lost", change(mail, both, func(_ *record, got *harness.Arrival) { got.Refused = 1 }), nil, ""},
		{"an attempt without a refusal", change(mail, both, func(rec *record, _ *harness.Arrival) { rec.Attempt = 2 }), []promise{byMail.firstAttempts}, ""},
		{"a webhook that does not verify", func(a *account) { a.arrivalFaults[harness.Webhook] = []string{"no signature"} }, []promise{byHook.genuine}, ""},

		{"repeated after a kill, once the claim had ended", arrived(mail, 36, -10, 36), nil, byKill},
		{"repeated after a kill, before the claim had ended", arrived(mail, 2, -1, 2), []promise{byMail.once}, byNothing},
		{"repeated after the answer was lost", arrived(hook, 121, 60, 121), nil, byLostAnswer},
		{"recorded, and passed on by a link at last", arrived(hook, 121, 121, 122), nil, byLostAnswer},
		{"repeated while another channel's receiver was absent", arrived(mail, 121, 60, 121), []promise{byMail.once}, byNothing},
		{"repeated without a reason", arrived(mail, 300, 200, 300), []promise{byMail.once}, byNothing},
		{"repeated after the record", arrived(mail, 200, 200, 300), []promise{byMail.once}, byNothing},
		{"repeated while the store was down", func(a *account) {
			a.windows = append(a.windows, &window{[]string{serverStore}, at(205)[0], at(210)[0]})
			arrived(mail, 300, 200, 300)(a)
		}, nil, byLostStore},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := reached()
			tt.change(a)
			a.settleAllChannels()
			var got []promise
			for _, p := range promises {
				if len(a.breaches(p)) > 0 {
					got = append(got, p)
				}
			}
			if diff := cmp.Diff(tt.breaks, got); diff != "" {
				t.Errorf("broken promises (-want +got):\n%s\n%v", diff, a.broken)
			}
			for _, channel := range channels {
				for cause, n := range a.channels[channel].repeats {
					if cause != tt.cause || n != 1 {
						t.Errorf("%s: %d repeated %s, want 1 %s", channel, n, cause, tt.cause)
					}
				}
			}
		})
	}
}

func TestChannelFigures(t *testing.T) {
	a := reached()
	a.settleAllChannels()
	for channel, want := range map[string]channelFigures{
		harness.Email:   {wanted: 2, arrived: 2, skipped: 3},
		harness.Webhook: {wanted: 7, arrived: 7, skipped: 3},
	} {
		got := *a.channels[channel]
		got.repeats = nil
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(channelFigures{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", channel, diff)
		}
	}
}

func TestContacts(t *testing.T) {
	all := contacts(10, "h:1")
	if len(all) != 8 { // every fifth user has none
		t.Fatalf("got %d contacts", len(all))
	}
	for _, c := range all {
		for channel, address := range map[string]string{harness.Email: c.Email, harness.Webhook: c.Webhook} {
			r := recipient{channel, "user"}
			if wants := address != "" && len(c.Off) == 0; r.wants(c.UserID) != wants {
				t.Errorf("%s: contact %+v, but wants %v", channel, c, !wants)
			}
		}
		if c.Webhook != "" && c.Webhook != fmt.Sprint("http://h:1", recipients[1].address(c.UserID)) {
			t.Errorf("its webhooks go to %s", c.Webhook)
		}
	}
}

func TestDelays(t *testing.T) {
	a := reached()
	a.sends = []send{{OrderID: orderID(0), Time: noon.Add(3 * time.Second)}, {OrderID: orderID(0), Time: noon.Add(2 * time.Second)}}
	got := a.delays()
	if n := [...]int{len(got["log"]), len(got[harness.Email]), len(got[harness.Webhook])}; n != [...]int{1, 2, 7} {
		t.Fatalf("got %v delays", n)
	}
	if want := (delay{noon, 2 * time.Second}); got["log"][0] != want {
		t.Errorf("by the log %+v, want %+v", got["log"][0], want)
	}
	if times := within(got[harness.Email], span{noon, noon.Add(1)}); len(times) != 2 || times[0] != time.Second {
		t.Errorf("within the span: %v", times)
	}
	if times := within(got[harness.Email], span{noon.Add(1), noon.Add(2)}); len(times) > 0 {
		t.Errorf("within a later span: %v", times)
	}
}
