package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// lastAgain is the number of orders whose events are published again at the end.
const lastAgain = 100

// settle lets everything come to rest, stops the order services under load, stops
// the others, and accounts for everything.
func (t *trial) settle(ctx context.Context) (*account, error) {
	var err error
	if t.drained, err = t.drain(ctx, drainTimeout); err != nil {
		return nil, err
	}
	// Every order is recorded by now, so nothing excuses a second notification.
	if _, err := t.publishAgain(ctx, lastAgain); err != nil {
		return nil, err
	}
	if _, err := t.drain(ctx, lastDrainTimeout); err != nil {
		return nil, err
	}
	if err := t.measureRested(ctx); err != nil {
		return nil, err
	}
	if err := t.leave(ctx); err != nil {
		return nil, err
	}
	if _, err := t.drain(ctx, lastDrainTimeout); err != nil {
		return nil, err
	}
	return t.account(ctx)
}

// leave stops the order services while clients ask for more. One starts again, for
// the events that they may have left in the outbox.
func (t *trial) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		harness.Sleep(ctx, 2*time.Second)
		t.stop(t.of(programOrder))
	})
	t.load.leave(ctx)
	wg.Wait()
	// A signal during its start would end the last service at once.
	last := t.of(programOrder)[0]
	return errors.Join(last.revive(), t.awaitReady(ctx, time.Minute, last))
}

// account stops the processes that still run, collects the evidence, and accounts
// for it.
func (t *trial) account(ctx context.Context) (*account, error) {
	e := &evidence{requests: t.load.requests, poison: t.poison}
	for began := time.Now(); ; {
		if err := e.readLetters(ctx, t.of(programNotification)[0].Admin); err != nil {
			return nil, err
		}
		// A letter on its way from the broker to the store is in neither.
		if e.allParked() || time.Since(began) > time.Minute {
			break
		}
		harness.Sleep(ctx, time.Second)
	}
	t.stop(append(t.of(programNotification), t.of(programOrder)[0]))
	t.checkLeft()
	if err := e.readStore(ctx, t.servers.database); err != nil {
		return nil, err
	}
	if err := e.readLogs(t.folder, t.journal); err != nil {
		return nil, err
	}
	return take(e, t.journal), nil
}

// backlog counts what still waits.
type backlog struct{ outbox, unsent, queued int }

func (b backlog) String() string {
	return fmt.Sprintf("%d events in the outbox, %d orders not notified, %d messages in the queues", b.outbox, b.unsent, b.queued)
}

func (t *trial) backlog(ctx context.Context) (b backlog, err error) {
	database := t.servers.database
	if b.outbox, err = database.Waiting(ctx, nil); err != nil {
		return b, err
	}
	stored, err := database.Count(ctx, harness.Orders)
	if err != nil {
		return b, err
	}
	sent, err := database.Count(ctx, harness.Deliveries)
	if err != nil {
		return b, err
	}
	b.unsent = stored - sent
	depths, err := t.servers.depths()
	for _, n := range depths {
		b.queued += n
	}
	return b, err
}

// drain waits until nothing waits anywhere. After the timeout, the account finds what
// is missing.
func (t *trial) drain(ctx context.Context, timeout time.Duration) (took time.Duration, err error) {
	began := time.Now()
	for reported := began; ; {
		b, err := t.backlog(ctx)
		took := time.Since(began)
		if err == nil && b == (backlog{}) {
			return took, nil
		}
		state := b.String()
		if err != nil { // it may pass
			state = err.Error()
		}
		if took > timeout {
			t.breaks(drainsInTime, "after %v: %v", timeout, state)
			return took, nil
		}
		if time.Since(reported) > 10*time.Second {
			reported = time.Now()
			fmt.Printf("chaos: draining: %v\n", state)
		}
		if !harness.Sleep(ctx, 200*time.Millisecond) {
			return 0, context.Cause(ctx)
		}
	}
}

// checkLeft finds messages and connections that the processes left behind.
func (t *trial) checkLeft() {
	depths, err := t.servers.depths()
	if err != nil {
		t.breaks(queuesEmpty, "unknown: %v", err)
	}
	for name, n := range depths {
		if n > 0 {
			t.breaks(queuesEmpty, "%s: %d", name, n)
		}
	}
	for _, p := range t.processes {
		for server, link := range p.links {
			open := func() bool { return link.connections() > 0 }
			for end := time.Now().Add(5 * time.Second); open() && time.Now().Before(end); {
				time.Sleep(20 * time.Millisecond)
			}
			if open() {
				t.breaks(nothingConnected, "%s: %d", linkName(p.Name, server), link.connections())
			}
		}
	}
}

// allParked reports whether every poison body is a dead letter.
func (e *evidence) allParked() bool {
	parked := make(map[string]bool, len(e.letters))
	for _, l := range e.letters {
		parked[l.Body] = true
	}
	return !slices.ContainsFunc(e.poison, func(body string) bool { return !parked[body] })
}
