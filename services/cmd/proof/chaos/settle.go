package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// lastAgain is the number of orders whose events are published again at the end.
const lastAgain = 100

// settle lets everything come to rest, stops the order services under load, stops
// the others, and accounts for everything.
func (t *trial) settle(ctx context.Context) error {
	return inTurn(ctx,
		t.drain(drainTimeout, &t.drained),
		// Every order is recorded by now, so nothing excuses a second notification.
		func(ctx context.Context) error { return t.publishAgain(ctx, lastAgain) },
		t.drain(lastDrainTimeout, new(time.Duration)),
		t.measureRested,
		t.leave,
		t.drain(lastDrainTimeout, new(time.Duration)),
		t.collect)
}

// inTurn runs the steps until one fails.
func inTurn(ctx context.Context, steps ...func(context.Context) error) error {
	for _, run := range steps {
		if err := run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// await polls until it is done, and reports whether that came in time.
func await(ctx context.Context, timeout time.Duration, done func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for !done() {
		if !harness.Sleep(ctx, 100*time.Millisecond) {
			return false
		}
	}
	return true
}

// leave stops the order services while clients ask for more. One starts again, for
// the events that they may have left in the outbox.
func (t *trial) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		harness.Sleep(ctx, 2*time.Second)
		t.stop(t.of(programOrder)...)
	})
	t.load.leave(ctx)
	wg.Wait()
	// A signal during its start would end the last service at once.
	last := t.of(programOrder)[0]
	return errors.Join(last.revive(), awaitReady(ctx, time.Minute, last))
}

// collect stops the processes that still run, collects the evidence, and accounts
// for it.
func (t *trial) collect(ctx context.Context) (err error) {
	a := &t.account
	a.requests, a.poison = t.load.requests, t.poison
	if err := t.checkStories(ctx, t.of(programNotification)[0].Addr); err != nil {
		return err
	}
	await(ctx, time.Minute, func() bool { // a letter on its way from the broker to the store is in neither
		err = a.readLetters(ctx, t.of(programNotification)[0].Admin)
		return err != nil || len(a.notParked()) == 0
	})
	if err != nil {
		return err
	}
	t.stop(append(t.of(programNotification), t.of(programOrder)[0])...)
	t.checkLeft(ctx)
	a.arrivals, a.arrivalFaults = t.arrivals(), make(map[string][]string)
	for channel, r := range t.receivers {
		a.arrivalFaults[channel] = r.Faults()
	}
	if err := errors.Join(a.readStore(ctx, t.servers.database), a.readLogs(t.folder)); err != nil {
		return err
	}
	a.settle()
	return nil
}

// usualNotifications is the number of an order's notifications: by the channel log, and
// to the recipients.
var usualNotifications = 1 + len(recipients)

// backlog counts what there is, and what still waits.
type backlog struct{ orders, notifications, outbox, queued, waiting int }

func (b backlog) String() string {
	return fmt.Sprintf("%d events in the outbox, %d messages in the queues, %d of %d notifications about %d orders wait",
		b.outbox, b.queued, b.waiting, b.notifications, b.orders)
}

func (t *trial) backlog(ctx context.Context) (b backlog, err error) {
	var errs [4]error
	b.outbox, errs[0] = t.servers.database.Waiting(ctx, nil)
	b.orders, errs[1] = t.servers.database.Count(ctx, harness.Orders)
	b.notifications, b.waiting, errs[2] = t.servers.database.Recorded(ctx)
	depths, err := t.servers.depths()
	errs[3] = err
	for _, n := range depths {
		b.queued += n
	}
	return b, errors.Join(errs[:]...)
}

// waits reports whether anything is known to wait. A broker does not count the messages
// that notifiers have not acknowledged.
func (b backlog) waits() bool { return b.outbox > 0 || b.queued > 0 || b.waiting > 0 }

// isDrained reports whether nothing waits: each order since earlier has so many
// notifications.
func (b backlog) isDrained(earlier backlog, each int) bool {
	return !b.waits() && b.notifications-earlier.notifications == (b.orders-earlier.orders)*each
}

// drain waits until nothing waits anywhere. After the timeout, the account finds what
// is missing.
func (t *trial) drain(timeout time.Duration, took *time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		began := time.Now()
		reported, state := began, ""
		drained := await(ctx, timeout, func() bool {
			b, err := t.backlog(ctx)
			if state = b.String(); err != nil { // it may pass
				state = err.Error()
			}
			if time.Since(reported) > 10*time.Second {
				reported = time.Now()
				fmt.Printf("chaos: draining: %v\n", state)
			}
			return err == nil && b.isDrained(t.account.earlier, usualNotifications)
		})
		if *took = time.Since(began); !drained && ctx.Err() == nil {
			t.breaks(drainsInTime, "after %v: %v", timeout, state)
		}
		return context.Cause(ctx)
	}
}

// checkLeft finds messages and connections that the processes left behind.
func (t *trial) checkLeft(ctx context.Context) {
	depths, err := t.servers.depths()
	if err != nil {
		t.breaks(queuesEmpty, "unknown: %v", err)
	}
	for name, n := range depths {
		if n > 0 {
			t.breaks(queuesEmpty, "%s: %d", name, n)
		}
	}
	for channel, r := range t.receivers {
		if !await(ctx, 5*time.Second, func() bool { return r.link.connections() == 0 }) {
			t.breaks(nothingConnected, "%s: %d", channel, r.link.connections())
		}
	}
	for _, p := range t.processes {
		for server, link := range p.links {
			if !await(ctx, 5*time.Second, func() bool { return link.connections() == 0 }) {
				t.breaks(nothingConnected, "%s: %d", linkName(p.Name, server), link.connections())
			}
		}
	}
}
