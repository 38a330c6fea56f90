package porttest

import (
	"context"
	"math"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// The subscriptions of the clauses.
const (
	mail    = "mail"
	webhook = "webhook"
	nowhere = "nowhere" // nobody consumes from its queue
)

// subscribe consumes from the subscription's queue, and returns once a consumer has
// connected.
func subscribe(t testing.TB, e Events, name string, handle handler[ports.Delivery]) *deliveries {
	t.Helper()
	queue := e.Subscription(name)
	in := newInbox(t, t.Context(), consumerOf(queue), handle)
	ctx := bounded(t)
	eventually(t, "Ping of subscription "+name+" returns nil during Consume", func() bool { return queue.Ping(ctx) == nil })
	return in
}

// subscribeBriefly lets the subscription's queue exist, without a consumer.
func subscribeBriefly(t testing.TB, e Events, name string) {
	t.Helper()
	subscribe(t, e, name, accept).stop()
}

var eventsSubscribe = []Clause[Events]{
	{"each subscription gets each event once, and so does the main queue", func(t testing.TB, e Events) {
		queues := []*deliveries{subscribe(t, e, mail, accept), subscribe(t, e, webhook, accept), consume(t, e, accept)}
		for n := range 3 {
			publish(t, e, events(n*50, 50)...)
		}
		for _, in := range queues {
			checkDelivered(t, in, events(0, 150)...)
		}
		time.Sleep(quiet)
		for _, in := range queues {
			checkDelivered(t, in, events(0, 150)...)
		}
	}},

	{"a subscription gets the events from the time on at which a consumer has connected, and none from before", func(t testing.TB, e Events) {
		before, between, after := events(1, 10), events(100, 10), events(200, 10)
		publish(t, e, before...)
		first := subscribe(t, e, mail, accept)
		publish(t, e, between...)
		second := subscribe(t, e, webhook, accept)
		publish(t, e, after...)
		checkDelivered(t, second, after...)
		checkDelivered(t, first, append(between, after...)...)
		time.Sleep(quiet)
		checkDelivered(t, second, after...)
		checkDelivered(t, first, append(between, after...)...)
	}},

	{"a subscription's queue keeps the events while nobody consumes from it", func(t testing.TB, e Events) {
		subscribeBriefly(t, e, mail)
		main := consume(t, e, accept)
		publish(t, e, events(1, 20)...)
		checkDelivered(t, main, events(1, 20)...)
		checkDelivered(t, subscribe(t, e, mail, accept), events(1, 20)...)
	}},

	{"consumers of one subscription share its events", func(t testing.TB, e Events) {
		subscribeBriefly(t, e, mail)
		consuming.share(t, e, consumerOf(e.Subscription(mail)), consumerOf(e.Subscription(mail)))
	}},

	{"a subscription whose handler fails, rejects or postpones disturbs no other queue", func(t testing.TB, e Events) {
		want := events(1, 10)
		others := []*deliveries{consume(t, e, accept), subscribe(t, e, "fine", accept)}
		postpone, attempts := postponing(e)
		failing, rejecting, postponing := subscribe(t, e, mail, failUntil(math.MaxInt)), subscribe(t, e, webhook, reject), subscribe(t, e, "chat", postpone)
		publish(t, e, want...)
		for _, event := range want {
			awaitAttempts(t, failing, event.ID, e.Attempts)
			awaitAttempts(t, postponing, event.ID, len(attempts))
		}
		rejecting.awaitEnded(eventIDs(want)...)
		time.Sleep(quiet)
		for _, in := range others {
			checkDelivered(t, in, want...)
		}
	}},

	{"a failing main queue disturbs no subscription", func(t testing.TB, e Events) {
		want := events(1, 10)
		subscribeBriefly(t, e, mail)
		main := consume(t, e, func(ctx context.Context, d ports.Delivery, nth int) error {
			if d.Event.ID == event(1).ID {
				return reject(ctx, d, nth)
			}
			return failUntil(math.MaxInt)(ctx, d, nth)
		})
		publish(t, e, want...)
		for _, event := range want[1:] {
			awaitAttempts(t, main, event.ID, e.Attempts)
		}
		time.Sleep(quiet)
		checkDelivered(t, subscribe(t, e, mail, accept), want...)
	}},

	{"a failed event comes again to its own subscription, as often as to the main queue", func(t testing.TB, e Events) {
		failing, rejected, postponed := event(1), event(2), event(3)
		postpone, want := postponing(e)
		in := subscribe(t, e, mail, func(ctx context.Context, d ports.Delivery, nth int) error {
			switch d.Event.ID {
			case failing.ID:
				return failUntil(math.MaxInt)(ctx, d, nth)
			case rejected.ID:
				return reject(ctx, d, nth)
			}
			return postpone(ctx, d, nth)
		})
		publish(t, e, failing, rejected, postponed)
		awaitAttempts(t, in, failing.ID, e.Attempts)
		awaitAttempts(t, in, postponed.ID, len(want))
		time.Sleep(quiet)
		checkAttempts(t, in, failing.ID, upTo(e.Attempts)...)
		checkAttempts(t, in, rejected.ID, 1)
		checkAttempts(t, in, postponed.ID, want...)
	}},

	// The events are more than most consumers take at once.
	{"a subscription whose handlers take long holds up no other queue", func(t testing.TB, e Events) {
		const count = 600
		freed := newGate(t)
		slow := subscribe(t, e, mail, hold[ports.Delivery](freed))
		others := []*deliveries{subscribe(t, e, webhook, accept), consume(t, e, accept)}
		for n := 0; n < count; n += 50 {
			publish(t, e, events(n, 50)...)
		}
		taken := 0
		eventually(t, "the slow subscription takes no more events", func() bool {
			before := taken
			time.Sleep(quiet)
			taken = len(slow.got())
			return taken > 0 && taken == before
		})
		publish(t, e, events(count, 50)...)
		for _, in := range others {
			checkDelivered(t, in, events(0, count+50)...)
		}
		freed.open()
		checkDelivered(t, slow, events(0, count+50)...)
	}},
}

// letterOf returns the id of the event's dead letter.
func letterOf(event domain.Event, subscription string) domain.EventID {
	if subscription == "" {
		return event.ID
	}
	return event.ID + domain.EventID("."+subscription)
}
