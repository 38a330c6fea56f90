package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

const (
	queueLimit = 3               // fewer than the services need
	limitTime  = 5 * time.Second // until the limit is lifted
	afterLimit = time.Second     // orders are placed for longer than it lasts
)

// startLimited starts the services under a queue limit, places orders, lifts the
// limit, and waits until all are notified.
func (t *trial) startLimited(ctx context.Context) error {
	over := t.begin("queue limit", serverBroker)
	defer over()
	vhost := t.servers.VHost()
	limit := rabbitmqctl("set_vhost_limits", "--vhost", vhost, fmt.Sprintf(`{"max-queues":%d}`, queueLimit))
	lift := sync.OnceValue(func() error {
		return rabbitmqctl("clear_vhost_limits", "--vhost", vhost)(t, context.WithoutCancel(ctx))
	})
	defer lift()
	if err := limit(t, ctx); err != nil {
		return err
	}
	if err := t.start(); err != nil {
		return err
	}
	if err := awaitReady(ctx, 20*time.Second, t.of(programOrder)...); err != nil {
		t.breaks(failsForAReason, "with a queue limit: %v", err)
	}
	stopLoad := t.startLoad(ctx)
	defer stopLoad()
	harness.Sleep(ctx, limitTime)
	meanwhile := t.load.answers()
	if _, err := t.servers.depths(); err == nil {
		t.breaks(faultsMade, "all queues exist in spite of the limit")
	}
	if err := lift(); err != nil {
		return err
	}
	over()
	harness.Sleep(ctx, afterLimit)
	stopLoad()
	lifted := time.Now()
	// A process that has ended breaks a promise; the trial goes on all the same.
	err := t.revive(ctx)
	if !await(ctx, drainTimeout, func() bool { return t.isLogged(ctx) }) && ctx.Err() == nil {
		t.breaks(drainsInTime, "after a queue limit, %v", drainTimeout)
	}
	t.limited = []row{
		{"answered with 201", t.load.answers()}, {"before it was lifted", meanwhile}, {"drained after", tenths(time.Since(lifted))},
	}
	return errors.Join(err, context.Cause(ctx))
}

// isLogged reports whether the channel log has sent every order. The other channels get
// the events from when their queues could be made.
func (t *trial) isLogged(ctx context.Context) bool {
	orders, err := t.servers.database.Count(ctx, harness.Orders)
	logged, _, loggedErr := t.servers.database.Recorded(ctx, "log")
	return err == nil && loggedErr == nil && orders == logged
}
