package porttest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// BrokerClauses returns the contract of [ports.EventPublisher],
// [ports.EventConsumer] and [ports.DeadLetterQueue].
func BrokerClauses() []Clause[Broker] {
	clauses := []Clause[Broker]{
		{"what is published is handed over with every field as it was", publishKeepsEveryField},
		{"Publish keeps every event of a call", publishMany},
		{"Publish of no events is no error", publishNone},
		{"Publish may be called from several goroutines at once", publishAtOnce},
		{"Publish keeps the events although its context ends afterwards", publishOutlivesContext},
		{"Publish with an ended context says so", publishEnded},
		{"Publish leaves the slice to the caller", publishSlices},
		{"what is published while nobody consumes is kept", publishUnheard},
		{"Publish refuses an event that consumers could not read, by name, and publishes the others of the call", publishUnreadable},
	}
	return slices.Concat(clauses, consumeClauses(), failureClauses(), drainClauses(), replayClauses())
}

func publish(t testing.TB, b Broker, events ...domain.Event) {
	t.Helper()
	if err := joined(b.Publisher.Publish(bounded(t), events...)); err != nil {
		t.Fatalf("publish %d events: %v", len(events), err)
	}
}

// joined returns the errors of a call of Publish as one.
func joined(errs []error) error { return errors.Join(errs...) }

// eventsOf returns count events of the nth order. They share their id, for an
// order has one event, and differ in their time.
func eventsOf(t testing.TB, n, count int) []domain.Event {
	t.Helper()
	list := make([]domain.Event, count)
	for i := range list {
		list[i] = order(t, n).Created()
		list[i].Time = list[i].Time.Add(time.Duration(i) * time.Second)
	}
	return list
}

// checkHandedOver fails t unless each of the events was handed over once, as
// it is, and no other.
func checkHandedOver(t testing.TB, in *inbox, want ...domain.Event) {
	t.Helper()
	in.awaitHandled(eventIDs(want)...)
	expected := map[domain.EventID]domain.Event{}
	for _, event := range want {
		expected[event.ID] = event
	}
	for _, got := range in.got() {
		want, ok := expected[got.Event.ID]
		if !ok {
			t.Errorf("event %s was handed over, want it not to be, or not again", got.Event.ID)
			continue
		}
		delete(expected, got.Event.ID)
		checkEvent(t, want, got.Event)
		if got.Attempt != 1 {
			t.Errorf("event %s was handed over at attempt %d, without a failure", got.Event.ID, got.Attempt)
		}
	}
}

func publishKeepsEveryField(t testing.TB, b Broker) {
	want := created(hardOrders(t))
	want[0].Time = want[0].Time.Add(1500 * time.Millisecond) // not its order's
	in := consume(t, b.Consumer(), handleAll)
	for _, event := range want {
		publish(t, b, event)
	}
	checkHandedOver(t, in, want...)
}

func publishMany(t testing.TB, b Broker) {
	want := events(t, 1, 500)
	in := consume(t, b.Consumer(), handleAll)
	publish(t, b, want...)
	checkHandedOver(t, in, want...)
}

func publishNone(t testing.TB, b Broker) {
	publish(t, b)
	publish(t, b, order(t, 1).Created())
	publish(t, b)
	checkHandedOver(t, consume(t, b.Consumer(), handleAll), order(t, 1).Created())
}

func publishAtOnce(t testing.TB, b Broker) {
	const callers, each = 16, 10
	want := events(t, 0, callers*each)
	in := consume(t, b.Consumer(), handleAll)
	ctx := bounded(t)
	together(callers, func(c int) {
		mine := want[c*each : (c+1)*each]
		for i := 0; i < each; i += 2 {
			if err := joined(b.Publisher.Publish(ctx, mine[i:i+2]...)); err != nil {
				t.Errorf("publish beside others: %v", err)
			}
		}
	})
	checkHandedOver(t, in, want...)
}

func publishOutlivesContext(t testing.TB, b Broker) {
	want := events(t, 1, 20)
	for _, event := range want {
		ctx, cancel := context.WithCancel(bounded(t))
		err := joined(b.Publisher.Publish(ctx, event))
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	checkHandedOver(t, consume(t, b.Consumer(), handleAll), want...)
}

func publishEnded(t testing.TB, b Broker) {
	checkEnded(t, "Publish", func(ctx context.Context) error {
		return joined(b.Publisher.Publish(ctx, events(t, 1, 2)...))
	})
}

func publishSlices(t testing.TB, b Broker) {
	want := events(t, 1, 10)
	mine := slices.Clone(want)
	publish(t, b, mine...)
	for i := range mine {
		mine[i].Order.Product = "changed by the caller"
	}
	checkHandedOver(t, consume(t, b.Consumer(), handleAll), want...)
}

func publishUnheard(t testing.TB, b Broker) {
	before, between := events(t, 1, 5), events(t, 10, 5)
	publish(t, b, before...)
	first := consume(t, b.Consumer(), handleAll)
	checkHandedOver(t, first, before...)
	first.stop()
	publish(t, b, between...)
	checkHandedOver(t, consume(t, b.Consumer(), handleAll), between...)
}

func publishUnreadable(t testing.TB, b Broker) {
	bad := func(n int, spoil func(*domain.Event)) domain.Event {
		event := order(t, n).Created()
		spoil(&event)
		return event
	}
	want := []domain.Event{order(t, 20).Created()}
	for fault, event := range map[string]domain.Event{
		"of another type": bad(11, func(e *domain.Event) {
			e.ID, e.Type = domain.EventID(e.Order.ID+"-cancelled"), "order.cancelled"
		}),
		"without a type":        bad(12, func(e *domain.Event) { e.Type = "" }),
		"of another order's id": bad(13, func(e *domain.Event) { e.ID = order(t, 1).Created().ID }),
		"without an id":         bad(14, func(e *domain.Event) { e.ID = "" }),
		"without a time":        bad(15, func(e *domain.Event) { e.Time = time.Time{} }),
	} {
		before, after := order(t, 20+2*len(want)).Created(), order(t, 21+2*len(want)).Created()
		want = append(want, before, after)
		for _, call := range [][]domain.Event{{event}, {before, event, after}} {
			errs := b.Publisher.Publish(bounded(t), call...)
			if len(errs) != len(call) {
				t.Fatalf("publish %d events: %d errors, want one for each event", len(call), len(errs))
			}
			err := errs[len(call)/2]
			if len(call) == 3 && (errs[0] != nil || errs[2] != nil) {
				t.Errorf("publish events before and after one %s: errors %v and %v, want none", fault, errs[0], errs[2])
			}
			if err == nil {
				t.Errorf("publish an event %s, among %d: no error", fault, len(call))
				continue
			}
			if errors.Is(err, ports.ErrUnavailable) {
				t.Errorf("publish an event %s: error %q blames the broker", fault, err)
			}
			if !strings.Contains(err.Error(), string(event.ID)) || !strings.Contains(err.Error(), string(event.Type)) {
				t.Errorf("publish an event %s: error %q does not name event %q of type %q", fault, err, event.ID, event.Type)
			}
		}
	}
	publish(t, b, want[0])
	in := consume(t, b.Consumer(), handleAll)
	for _, event := range want {
		in.awaitHandled(event.ID)
	}
	aside := drain(t, b.DeadLetters(), keepAll)
	time.Sleep(quiet)
	checkHandedOver(t, in, want...)
	checkDrained(t, aside)
}
