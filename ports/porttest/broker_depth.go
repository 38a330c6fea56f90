package porttest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/orderflow/ports"
)

// awaitDepth waits until the queue has this depth.
func awaitDepth(t testing.TB, what string, queue interface {
	Depth(context.Context) (ports.QueueDepth, error)
}, same func(ports.QueueDepth) bool) {
	t.Helper()
	ctx := bounded(t)
	var last ports.QueueDepth
	var err error
	defer func() {
		if t.Failed() {
			t.Errorf("the last depth was %+v, error %v", last, err)
		}
	}()
	eventually(t, what, func() bool {
		last, err = queue.Depth(ctx)
		return err == nil && same(last)
	})
}

func awaitQueued(t testing.TB, queue ports.EventQueue, name string, ready, delayed, taken, consumers int) {
	t.Helper()
	awaitDepth(t, fmt.Sprintf("subscription %s has %d events ready, %d delayed, %d taken, and %d consumers", name, ready, delayed, taken, consumers), queue,
		func(d ports.QueueDepth) bool {
			known := d.Oldest.IsZero() || ready > 0 && d.Oldest.Equal(event(1).Time)
			return d.Ready == ready && d.Delayed == delayed && d.Taken == taken && d.Consumers == consumers && known
		})
}

var eventsDepth = []Clause[Events]{
	{"Depth counts the events that are ready and taken, and the consumers", func(t testing.TB, e Events) {
		const count = 5
		queue := e.Subscription(mail)
		subscribeBriefly(t, e, mail)
		awaitQueued(t, queue, mail, 0, 0, 0, 0)
		consume(t, e, accept)
		publish(t, e, event(1))
		publish(t, e, events(2, count-1)...)
		awaitQueued(t, queue, mail, count, 0, 0, 0)

		taken := newGate(t)
		in := newInbox(t, t.Context(), consumerOf(queue), hold[ports.Delivery](taken))
		in.awaitBegun(eventIDs(events(1, count))...)
		awaitQueued(t, queue, mail, 0, 0, count, 1)
		taken.open()
		in.awaitEnded(eventIDs(events(1, count))...)
		awaitQueued(t, queue, mail, 0, 0, 0, 1)
		in.stop()
		awaitQueued(t, queue, mail, 0, 0, 0, 0)
	}},

	{"Depth counts the events that come again later", func(t testing.TB, e Events) {
		queue := e.Subscription(mail)
		in := newInbox(t, t.Context(), consumerOf(queue), func(ctx context.Context, d ports.Delivery, nth int) error {
			if nth > 20 { // a broken broker may go on for ever
				return nil
			}
			return ports.Postpone(errors.New("the store is unreachable"))
		})
		ctx := bounded(t)
		eventually(t, "Ping returns nil during Consume", func() bool { return queue.Ping(ctx) == nil })
		publish(t, e, events(1, 3)...)
		in.awaitBegun(eventIDs(events(1, 3))...)
		awaitDepth(t, "three events are delayed or taken", queue, func(d ports.QueueDepth) bool { return d.Total() == 3 && d.Delayed > 0 })
	}},

	{"Depth returns ErrNotFound when the queue does not exist, and makes none", func(t testing.TB, e Events) {
		for range 2 {
			if d, err := e.Subscription(nowhere).Depth(bounded(t)); !errors.Is(err, ports.ErrNotFound) || errors.Is(err, ports.ErrUnavailable) {
				t.Errorf("Depth of a subscription without a queue returned %+v, error %v, want only ErrNotFound", d, err)
			}
			publish(t, e, event(1))
		}
		in := subscribe(t, e, nowhere, accept)
		publish(t, e, event(2))
		checkDelivered(t, in, event(2))
	}},

	{"Depth with an ended context returns its error", func(t testing.TB, e Events) {
		subscribeBriefly(t, e, mail)
		queue := e.Subscription(mail)
		checkEnded(t, "Depth", func(ctx context.Context) error { return errorOf(queue.Depth(ctx)) })
	}},
}

var queueDepth = []Clause[DeadLetterQueue]{
	{"Depth of the dead letters counts those that nobody has kept, and the drains", func(t testing.TB, q DeadLetterQueue) {
		queue := q.Queue()
		await := func(ready, others, drains int) {
			t.Helper()
			awaitDepth(t, fmt.Sprintf("%d dead letters are ready, %d are delayed or taken, and %d drains run", ready, others, drains), queue,
				func(d ports.QueueDepth) bool {
					known := d.Oldest.IsZero() || ready > 0 && d.Oldest.Equal(nthFailure(1).LastFailure)
					return d.Ready == ready && d.Delayed+d.Taken == others && d.Consumers == drains && known
				})
		}
		set := func(n int) {
			must(t, "set an event aside", queue.SetAside(bounded(t), "", event(n), nthFailure(n)))
		}
		set(1)
		set(2)
		await(2, 0, 0)
		taken := newGate(t)
		in := newInbox(t, t.Context(), drainOf(queue), hold[ports.DeadLetter](taken))
		await(0, 2, 1)
		taken.open()
		await(0, 0, 1)
		in.stop()
		await(0, 0, 0)
		time.Sleep(quiet)
		set(1)
		await(1, 0, 0)
	}},

	{"Depth of the dead letters with an ended context returns its error", func(t testing.TB, q DeadLetterQueue) {
		queue := q.Queue()
		checkEnded(t, "Depth", func(ctx context.Context) error { return errorOf(queue.Depth(ctx)) })
	}},
}
