package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	meanwhile int // orders answered with 201 before the limit was lifted
	account   *account
	drained   time.Duration // from the last order until all were notified
}

// startLimited starts the services on a virtual host of their own that allows too
// few queues, and removes it with the database afterwards.
func (t *trial) startLimited(ctx context.Context) (err error) {
	scene := newTrial(t.settings, &journal{log: t.log}, t.servers.apart(t.servers.database.Name()+"_limit"),
		filepath.Join(t.folder, "limit"), t.binaries)
	if err := os.Mkdir(scene.folder, 0o755); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scene.servers.remove(context.WithoutCancel(ctx))) }()
	if err := scene.servers.makeVHost(ctx); err != nil {
		return err
	}
	defer scene.close()
	t.limited, err = scene.sufferLimit(ctx)
	for _, p := range promises {
		for _, what := range scene.breaches(p) {
			t.breaks(p, "with a queue limit at the start: %s", what)
		}
	}
	return err
}

// sufferLimit starts the services under the limit, places orders, lifts the limit,
// and accounts for the orders.
func (t *trial) sufferLimit(ctx context.Context) (*limited, error) {
	over := t.begin(serverBroker, "queue limit")
	defer over()
	if err := t.start(); err != nil {
		return nil, err
	}
	if err := t.awaitReady(ctx, 20*time.Second, t.of(programOrder)...); err != nil {
		t.breaks(failsForAReason, "%v", err)
	}
	stopLoad := t.startLoad(ctx)
	defer stopLoad()
	harness.Sleep(ctx, limitTime)
	t.load.mu.Lock()
	l := &limited{meanwhile: len(t.load.answered)}
	t.load.mu.Unlock()
	if _, err := t.servers.depths(); err == nil {
		t.breaks(faultsMade, "all queues exist in spite of the limit")
	}
	if _, err := t.servers.rabbitmqctl(ctx, "clear_vhost_limits", "--vhost", t.servers.VHost()); err != nil {
		return nil, err
	}
	over()
	harness.Sleep(ctx, afterLimit)
	err := t.revive() // a process that has ended breaks a promise; the account needs it all the same
	stopLoad()
	if err := errors.Join(err, t.awaitReady(ctx, time.Minute, t.processes...)); err != nil {
		return nil, err
	}
	if l.drained, err = t.drain(ctx, drainTimeout); err != nil {
		return nil, err
	}
	l.account, err = t.account(ctx, t.processes)
	return l, err
}

// apart returns the same servers with another database and virtual host.
func (s *servers) apart(name string) *servers {
	shared, broker, other := *s.Servers, *s.Broker, *s
	broker.Path, broker.RawPath = "/"+name, ""
	shared.Broker = &broker
	other.Servers, other.database = &shared, s.Database(name)
	return &other
}

// makeVHost makes the virtual host with the queue limit.
func (s *servers) makeVHost(ctx context.Context) (err error) {
	user := "guest"
	if s.Broker.User != nil {
		user = s.Broker.User.Username()
	}
	for _, args := range [][]string{
		{"add_vhost", s.VHost()},
		{"set_permissions", "--vhost", s.VHost(), user, ".*", ".*", ".*"},
		{"set_vhost_limits", "--vhost", s.VHost(), fmt.Sprintf(`{"max-queues":%d}`, queueLimit)},
	} {
		if err == nil {
			_, err = s.rabbitmqctl(ctx, args...)
		}
	}
	return err
}

// remove removes the virtual host and the database.
func (s *servers) remove(ctx context.Context) error {
	_, err := s.rabbitmqctl(ctx, "delete_vhost", s.VHost())
	return errors.Join(err, s.database.Drop(ctx))
}
