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

// limited is what a start under a queue limit measures.
type limited struct {
	answered  int           // orders answered with 201
	meanwhile int           // those before the limit was lifted
	drained   time.Duration // from the last order until all were notified
}

// limitQueues sets a limit on the virtual host, or lifts it.
func (s *servers) limitQueues(ctx context.Context, on bool) error {
	args := []string{"clear_vhost_limits", "--vhost", s.VHost()}
	if on {
		args = []string{"set_vhost_limits", "--vhost", s.VHost(), fmt.Sprintf(`{"max-queues":%d}`, queueLimit)}
	}
	_, err := s.rabbitmqctl(ctx, args...)
	return err
}

// startLimited starts the services under a queue limit, places orders, lifts the
// limit, and waits until all are notified.
func (t *trial) startLimited(ctx context.Context) error {
	over := t.begin(serverBroker, "queue limit")
	defer over()
	if err := t.servers.limitQueues(ctx, true); err != nil {
		return err
	}
	lift := sync.OnceValue(func() error { return t.servers.limitQueues(context.WithoutCancel(ctx), false) })
	defer lift()
	if err := t.start(); err != nil {
		return err
	}
	if err := t.awaitReady(ctx, 20*time.Second, t.of(programOrder)...); err != nil {
		t.breaks(failsForAReason, "with a queue limit: %v", err)
	}
	stopLoad := t.startLoad(ctx)
	defer stopLoad()
	harness.Sleep(ctx, limitTime)
	t.limited = &limited{meanwhile: t.load.answers()}
	if _, err := t.servers.depths(); err == nil {
		t.breaks(faultsMade, "all queues exist in spite of the limit")
	}
	if err := lift(); err != nil {
		return err
	}
	over()
	harness.Sleep(ctx, afterLimit)
	stopLoad()
	t.limited.answered = t.load.answers()
	// A process that has ended breaks a promise; the trial goes on all the same.
	if err := errors.Join(t.revive(), t.awaitReady(ctx, time.Minute, t.processes...)); err != nil {
		return err
	}
	drained, err := t.drain(ctx, drainTimeout)
	t.limited.drained = drained
	return err
}
