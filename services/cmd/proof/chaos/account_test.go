package main

import (
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// disturbedAtNoon is the journal of a run in which one notifier was killed at noon, and
// another lost its store for a moment.
func disturbedAtNoon() *journal {
	return &journal{log: io.Discard, windows: []*window{
		{[]string{"killed", killed("killed")}, noon, noon}, {[]string{linkName("cut off", serverStore)}, noon, noon},
	}}
}

// good is the evidence of a good run with three orders.
func good() *account {
	a := &account{
		journal: disturbedAtNoon(), killWindow: serversWindow,
		since:   noon.Add(time.Hour), // what the receivers got is another test
		poison:  []string{"poison 1 1", "poison 1 2\x00\xff"},
		letters: []deadLetter{{ID: "a", Body: "poison 1 1"}, {ID: "b", Body: "poison 1 2\x00\xff"}, {ID: "c", Body: "poison 1 3"}},
	}
	for n := range 3 {
		asked := Order{UserID: "u", Product: fmt.Sprintf("chaos 1 %d", n), Quantity: n + 1}
		o := asked
		o.ID, o.CreatedAt = orderID(n), noon
		a.requests = append(a.requests, &request{Order: asked, answers: []Order{o}})
		a.orders = append(a.orders, storedOrder{Order: o})
		r := record{OrderID: o.ID, Attempt: 1, SentAt: noon.Add(time.Second)}
		r.ID.EventID, r.ID.Channel = eventOf(o.ID), "log"
		a.records = append(a.records, r)
		a.sends = append(a.sends, a.sendOf(n, "notification-1", noon.Add(time.Second+300*time.Microsecond)))
	}
	return a
}

func orderID(n int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", n) }

func (a *account) sendOf(order int, process string, at time.Time) send {
	o := a.orders[order].Order
	return send{EventID: eventOf(o.ID), OrderID: o.ID, Order: o, Time: at, process: process}
}

func TestAccount(t *testing.T) {
	second := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	tests := []struct {
		name   string
		change func(*account)
		breaks []promise
	}{
		{"nothing wrong", func(*account) {}, nil},
		{"an unanswered order is stored", func(e *account) { e.requests[0].answers = nil }, nil},
		{"an unanswered order is not stored", func(e *account) {
			e.requests = append(e.requests, &request{Order: Order{Product: "chaos 1 9"}})
		}, nil},
		{"an order lost", func(e *account) { e.orders = e.orders[1:] }, []promise{answeredIsStored, sentAsStored, recordedOnce}},
		{"an order and all its traces lost", func(e *account) {
			e.orders, e.records, e.sends = e.orders[1:], e.records[1:], e.sends[1:]
		}, []promise{answeredIsStored}},
		{"an order stored with another quantity", func(e *account) { e.orders[0].Quantity = 7 }, []promise{answeredIsStored, sentAsStored}},
		{"an order answered with another quantity", func(e *account) { e.requests[0].answers[0].Quantity = 7 }, []promise{answeredIsStored}},
		{"an order answered with another time", func(e *account) { e.requests[0].answers[0].CreatedAt = second(1) }, []promise{answeredIsStored}},
		{"a repeat answered with another order", func(e *account) {
			r := e.requests[0]
			r.answers = append(r.answers, e.requests[1].answers[0])
		}, []promise{answeredIsStored}},
		{"one request, two orders", func(e *account) {
			e.orders[1].Product, e.sends[1].Product = "chaos 1 0", "chaos 1 0"
			e.requests[0].answers = append(e.requests[0].answers, Order{ID: orderID(1), UserID: "u", Product: "chaos 1 0", Quantity: 1, CreatedAt: noon})
			e.orders[1].Quantity, e.sends[1].Quantity = 1, 1
			e.requests = slices.Delete(e.requests, 1, 2)
		}, []promise{onlyOneOrder}},
		{"an order nobody asked for", func(e *account) { e.requests = e.requests[1:] }, []promise{storedWasAsked}},
		{"accepted, but not answered", func(e *account) {
			e.requests[0].answers, e.requests[0].leaving = nil, true
		}, []promise{acceptedAnswered}},
		{"an event left in the outbox", func(e *account) { e.orders[0].Outbox = bson.Raw{5, 0, 0, 0, 0} }, []promise{outboxEmpty}},
		{"an order not notified", func(e *account) { e.sends, e.records = e.sends[1:], e.records[1:] }, []promise{storedIsNotified}},
		{"recorded, but not sent", func(e *account) { e.sends = e.sends[1:] }, []promise{storedIsNotified}},
		{"recorded before it was sent", func(e *account) { e.sends[0].Time = second(2) }, []promise{recordedAfterSent}},
		{"sent, but not recorded", func(e *account) { e.records = e.records[1:] }, []promise{recordedOnce}},
		{"a delivery without an order", func(e *account) {
			r := record{OrderID: orderID(9), SentAt: noon}
			e.records = append(e.records, r)
		}, []promise{recordedOnce}},
		{"two deliveries of one order", func(e *account) { e.records = append(e.records, e.records[0]) }, []promise{recordedOnce}},
		{"a delivery of another event", func(e *account) { e.records[0].ID.EventID += "-2" }, []promise{recordedOnce}},
		{"sent at the second attempt", func(e *account) { e.records[0].Attempt = 2 }, []promise{onlyFirstAttempts}},
		{"sent with another quantity", func(e *account) { e.sends[0].Quantity++ }, []promise{sentAsStored}},
		{"sent for an order that is not stored", func(e *account) {
			s := e.sends[0]
			s.OrderID, s.EventID = orderID(9), eventOf(orderID(9))
			e.sends = append(e.sends, s)
		}, []promise{sentAsStored}},

		{"repeated after a kill, once the claim had ended", func(e *account) {
			e.sends = append(e.sends, e.sendOf(0, "killed", second(-10)))
			e.sends[0].Time, e.records[0].SentAt = second(36), second(36)
		}, nil},
		{"repeated after a kill, before the claim had ended", func(e *account) {
			e.sends = append(e.sends, e.sendOf(0, "killed", second(-1)))
			e.sends[0].Time, e.records[0].SentAt = second(2), second(2)
		}, []promise{onceOutsideWindow}},
		{"repeated by a notifier that is killed then", func(e *account) {
			e.sends[0].Time, e.records[0].SentAt = second(-20), second(-20)
			e.sends = append(e.sends, e.sendOf(0, "killed", second(-1)))
		}, []promise{onceOutsideWindow}},
		{"repeated after the store held back the answer to a claim", func(e *account) {
			e.sends = append(e.sends, e.sendOf(0, "cut off", second(5)))
		}, nil},
		{"repeated long after the store was back", func(e *account) {
			e.sends = append(e.sends, e.sendOf(0, "cut off", second(15)))
		}, []promise{onceOutsideWindow}},
		{"repeated without a kill", func(e *account) {
			e.sends = append(e.sends, e.sendOf(0, "notification-1", second(60)))
			e.records[0].SentAt = second(60)
		}, []promise{onceOutsideWindow}},
		{"repeated though it was recorded before the kill", func(e *account) {
			e.sends[0] = e.sendOf(0, "killed", second(-10))
			e.records[0].SentAt = second(-10)
			e.sends = append(e.sends, e.sendOf(0, "notification-2", second(60)))
		}, []promise{onceOutsideWindow}},
		{"repeated while the record could not reach the store", func(e *account) {
			e.sends[0] = e.sendOf(0, "cut off", second(-10))
			e.records[0].SentAt = second(60)
			e.sends = append(e.sends, e.sendOf(0, "notification-2", second(60)))
		}, nil},
		{"repeated though the record had reached the store", func(e *account) {
			e.sends[0] = e.sendOf(0, "cut off", second(-10))
			e.records[0].SentAt = second(-10)
			e.sends = append(e.sends, e.sendOf(0, "notification-2", second(60)))
		}, []promise{onceOutsideWindow}},
		{"sent twice at once", func(e *account) { e.sends = append(e.sends, e.sends[0]) }, []promise{onceOutsideWindow}},

		{"a poison body lost", func(e *account) { e.letters = e.letters[1:] }, []promise{poisonParked}},
		{"an event among the dead letters", func(e *account) {
			e.letters = append(e.letters, deadLetter{ID: "d", Body: `{"id":"1"}`})
		}, []promise{onlyPoisonParked}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := good()
			tt.change(e)
			e.settle()
			var got []promise
			for _, p := range promises {
				if len(e.breaches(p)) > 0 {
					got = append(got, p)
				}
			}
			if diff := cmp.Diff(tt.breaks, got); diff != "" {
				t.Errorf("promises broken (-want +got):\n%s\n%v", diff, e.broken)
			}
		})
	}
}

func TestAccountFigures(t *testing.T) {
	e := good()
	e.sends[0].Time, e.records[0].SentAt = noon.Add(36*time.Second), noon.Add(36*time.Second)
	e.sends = append(e.sends, e.sendOf(0, "killed", noon.Add(-10*time.Second)), e.sends[1])
	e.requests[2].answers = nil
	e.settle()
	if want := (figures{answered: 2, notified: 3, repeats: 2, inWindow: 1, parked: 2}); e.figures != want {
		t.Errorf("got %+v, want %+v", e.figures, want)
	}
}
