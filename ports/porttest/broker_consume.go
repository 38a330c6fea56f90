package porttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// deliveries is an inbox of events.
type deliveries = inbox[ports.Delivery]

// attempts returns the attempts at which the event was delivered so far.
func attempts(in *deliveries, id domain.EventID) (attempts []int) {
	for _, h := range in.got(id) {
		attempts = append(attempts, h.item.Attempt)
	}
	return attempts
}

func checkAttempts(t testing.TB, in *deliveries, id domain.EventID, want ...int) {
	t.Helper()
	checkEqual(t, "attempts of event "+string(id), want, attempts(in, id))
}

// eventsOf returns count events of the nth order. They share their id, because
// an order has one event, and differ in their time.
func eventsOf(n, count int) []domain.Event {
	list := make([]domain.Event, count)
	for i := range list {
		list[i] = event(n)
		list[i].Time = list[i].Time.Add(time.Duration(i) * time.Second)
	}
	return list
}

// awaitHandled waits until the handler has returned for each of the events,
// which may share an id.
func awaitHandled(t testing.TB, in *deliveries, events []domain.Event) {
	t.Helper()
	awaitEach(t, "Consume's handler returns for", events, func() (handled []domain.Event) {
		for _, h := range in.got() {
			if !h.ended.IsZero() {
				handled = append(handled, h.item.Event)
			}
		}
		return handled
	})
}

var consuming = receiver[Events, ports.Delivery]{
	method: "Consume",
	items:  "events",
	open:   func(e Events) source[ports.Delivery] { return consumerOf(e.Consumer()) },
	feed:   publish,
	intact: func(t testing.TB, d ports.Delivery, event domain.Event) {
		checkEqual(t, "event "+string(event.ID), event, d.Event)
		if d.Attempt != 1 {
			t.Errorf("event %s came at attempt %d, want attempt 1, because no handler failed", event.ID, d.Attempt)
		}
	},
}

// checkDelivered fails t unless each of the events was delivered once, at the
// first attempt and unchanged, and no other event.
func checkDelivered(t testing.TB, in *deliveries, events ...domain.Event) {
	t.Helper()
	consuming.check(t, in, events...)
}

var eventsConsume = append(consuming.clauses(), []Clause[Events]{
	{"a consumer may consume again after it was stopped", func(t testing.TB, e Events) {
		consumer := consumerOf(e.Consumer())
		for n := range 3 {
			in := newInbox(t, t.Context(), consumer, accept)
			publish(t, e, event(n))
			checkDelivered(t, in, event(n))
			in.stop()
		}
	}},

	{"two calls of Consume on one consumer share the events", func(t testing.TB, e Events) {
		consumer := consumerOf(e.Consumer())
		consuming.share(t, e, consumer, consumer)
	}},

	{"Consume never delivers two events of one order at once", func(t testing.TB, e Events) {
		const count, each = 4, 5
		var mu sync.Mutex
		handling := map[domain.OrderID]bool{}
		fault := ""
		in := consume(t, e, func(_ context.Context, d ports.Delivery, _ int) error {
			id := d.Event.Order.ID
			mu.Lock()
			if handling[id] {
				fault = fmt.Sprintf("Consume delivered two events of order %s at once", id)
			}
			handling[id] = true
			mu.Unlock()
			time.Sleep(2 * tick)
			mu.Lock()
			delete(handling, id)
			mu.Unlock()
			if d.Attempt == 1 && d.Event == event(1) { // it comes again among the others
				return errors.New("not yet")
			}
			return nil
		})
		var want []domain.Event
		for i := range each {
			var batch []domain.Event
			for n := range count {
				batch = append(batch, eventsOf(n, each)[i])
			}
			publish(t, e, batch...)
			want = append(want, batch...)
		}
		awaitHandled(t, in, want)
		in.stop()
		if fault != "" {
			t.Error(fault)
		}
	}},
}...)
