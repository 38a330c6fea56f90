package porttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func publish(t testing.TB, e Events, events ...domain.Event) {
	t.Helper()
	must(t, fmt.Sprintf("publish %d events", len(events)), errors.Join(e.Publisher.Publish(bounded(t), events...)...))
}

// publishEach publishes the events by one call, and returns the error of each.
func publishEach(t testing.TB, e Events, events ...domain.Event) []error {
	t.Helper()
	errs := e.Publisher.Publish(bounded(t), events...)
	if len(errs) != len(events) {
		t.Fatalf("publish %v: %d errors, want one for each event", eventIDs(events), len(errs))
	}
	return errs
}

func inject(t testing.TB, e Events, bodies ...string) {
	t.Helper()
	ctx := bounded(t)
	for _, body := range bodies {
		must(t, fmt.Sprintf("inject %.20q", body), e.Inject(ctx, []byte(body)))
	}
}

// unpublishable returns events that consumers could not read, by their fault.
func unpublishable() map[string]domain.Event {
	spoiled := func(n int, spoil func(*domain.Event)) domain.Event {
		event := event(n)
		spoil(&event)
		return event
	}
	return map[string]domain.Event{
		"of another type":         spoiled(11, func(e *domain.Event) { e.ID, e.Type = domain.EventID(e.Order.ID+"-cancelled"), "order.cancelled" }),
		"without a type":          spoiled(12, func(e *domain.Event) { e.Type = "" }),
		"with another order's id": spoiled(13, func(e *domain.Event) { e.ID = event(1).ID }),
		"without an id":           spoiled(14, func(e *domain.Event) { e.ID = "" }),
		"without a time":          spoiled(15, func(e *domain.Event) { e.Time = time.Time{} }),
	}
}

// hardEvents returns the events of [hardOrders]. The time of the first differs from
// its order's.
func hardEvents() []domain.Event {
	all := created(hardOrders())
	all[0].Time = all[0].Time.Add(1500 * time.Millisecond)
	return all
}

var eventsPublish = []Clause[Events]{
	{"a published event is delivered with every field as it was", func(t testing.TB, e Events) {
		in := consume(t, e, accept)
		for _, event := range hardEvents() {
			publish(t, e, event)
		}
		checkDelivered(t, in, hardEvents()...)
	}},

	{"a published event is delivered with its origin, without the fields that break a rule", func(t testing.TB, e Events) {
		in := consume(t, e, accept)
		var want []domain.Event
		send := func(origin, kept domain.Origin) {
			event := order(len(want)).Created()
			event.Origin = kept
			want = append(want, event)
			event.Origin = origin
			publish(t, e, event)
		}
		for _, origin := range hardOrigins() {
			send(origin, origin)
		}
		for origin, kept := range brokenOrigins() {
			send(origin, kept)
		}
		checkDelivered(t, in, want...)
	}},

	{"Publish keeps every event of a call", func(t testing.TB, e Events) {
		in := consume(t, e, accept)
		publish(t, e, events(1, 500)...)
		checkDelivered(t, in, events(1, 500)...)
	}},

	{"Publish of no events returns no errors", func(t testing.TB, e Events) {
		publishEach(t, e)
		publish(t, e, event(1))
		publishEach(t, e)
		checkDelivered(t, consume(t, e, accept), event(1))
	}},

	{"Publish may be called from several goroutines at once", func(t testing.TB, e Events) {
		want := events(0, 160)
		in := consume(t, e, accept)
		forEach(t, slices.Collect(slices.Chunk(want, 2)), func(ctx context.Context, pair []domain.Event) error {
			if err := errors.Join(e.Publisher.Publish(ctx, pair...)...); err != nil {
				return fmt.Errorf("publish event %s during other calls: %w", pair[0].ID, err)
			}
			return nil
		})
		checkDelivered(t, in, want...)
	}},

	{"Publish keeps the events although its context ends afterwards", func(t testing.TB, e Events) {
		want := events(1, 20)
		for _, event := range want {
			ctx, cancel := context.WithCancel(bounded(t))
			errs := e.Publisher.Publish(ctx, event)
			cancel()
			must(t, "publish event "+string(event.ID), errors.Join(errs...))
		}
		checkDelivered(t, consume(t, e, accept), want...)
	}},

	{"Publish with an ended context returns its error", func(t testing.TB, e Events) {
		checkEnded(t, "Publish", func(ctx context.Context) error { return errors.Join(e.Publisher.Publish(ctx, events(1, 2)...)...) })
	}},

	{"Publish shares no memory with its caller", func(t testing.TB, e Events) {
		mine := events(1, 10)
		publish(t, e, mine...)
		for i := range mine {
			mine[i].Order.Product = "changed by the caller"
		}
		checkDelivered(t, consume(t, e, accept), events(1, 10)...)
	}},

	{"the broker keeps what is published while nobody consumes", func(t testing.TB, e Events) {
		before, between := events(1, 5), events(10, 5)
		publish(t, e, before...)
		first := consume(t, e, accept)
		checkDelivered(t, first, before...)
		first.stop()
		publish(t, e, between...)
		checkDelivered(t, consume(t, e, accept), between...)
	}},

	{"Publish refuses an event that consumers could not read, and names it", func(t testing.TB, e Events) {
		for fault, bad := range unpublishable() {
			checkRefusal(t, fault, bad, publishEach(t, e, bad)[0])
			checkRefusal(t, fault, bad, publishEach(t, e, event(20), bad)[1])
		}
	}},

	{"Publish returns one error for each event, in order", func(t testing.TB, e Events) {
		good, bad := event(1), unpublishable()["of another type"]
		for _, call := range [][]domain.Event{{good}, {bad}, {good, bad}, {bad, good}, {bad, good, good}, {good, bad, bad, good}} {
			for i, err := range publishEach(t, e, call...) {
				if refused := call[i].ID == bad.ID; refused != (err != nil) {
					t.Errorf("publish %v: answer %d is %v, want an error for event %s alone", eventIDs(call), i+1, err, bad.ID)
				}
			}
		}
	}},

	{"Publish publishes the other events of a call in which it refuses one", func(t testing.TB, e Events) {
		var want []domain.Event
		for fault, bad := range unpublishable() {
			before, after := event(21+2*len(want)), event(22+2*len(want))
			want = append(want, before, after)
			publishEach(t, e, bad)
			if errs := publishEach(t, e, before, bad, after); errs[0] != nil || errs[2] != nil {
				t.Errorf("publish events %s and %s around one %s: errors %v and %v, want nil", before.ID, after.ID, fault, errs[0], errs[2])
			}
		}
		in := consume(t, e, accept)
		in.awaitEnded(eventIDs(want)...)
		time.Sleep(quiet)
		checkDelivered(t, in, want...)
	}},
}

// checkRefusal fails t unless err refuses the event, and names it.
func checkRefusal(t testing.TB, fault string, event domain.Event, err error) {
	t.Helper()
	switch {
	case err == nil || errors.Is(err, ports.ErrUnavailable):
		t.Errorf("publish event %q %s: error %v, want an error without ErrUnavailable", event.ID, fault, err)
	case !strings.Contains(err.Error(), string(event.ID)) || !strings.Contains(err.Error(), string(event.Type)):
		t.Errorf("publish event %q %s: error %q does not name the event and its type %q", event.ID, fault, err, event.Type)
	}
}
