package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	queueLimit = 3               // fewer than the services need
	limitTime  = 5 * time.Second // how long it is in the way
	afterLimit = time.Second     // how long orders are placed after it
)

// limitFigures are what a start with a queue limit in the way measures.
type limitFigures struct {
	meanwhile int // orders answered with 201 before the limit was lifted
	account   *account
	drain     time.Duration // from the last order until all was notified
}

// startLimited starts the services on a virtual host of their own that allows
// too few queues, and removes what that has left on the servers.
func (st *stage) startLimited(ctx context.Context, folder string) (err error) {
	scene := &stage{
		settings: st.settings, folder: filepath.Join(st.folder, "limit"), timeline: &timeline{log: st.timeline.log},
		servers: st.servers.apart(st.servers.database.Name() + "_limit"),
	}
	if err := os.Mkdir(scene.folder, 0o755); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scene.servers.remove(context.WithoutCancel(ctx))) }()
	if err := scene.servers.makeVhost(ctx, queueLimit); err != nil {
		return err
	}
	defer scene.close()
	st.figures.limit, err = scene.sufferLimit(ctx, folder)
	for _, p := range promises {
		for _, what := range scene.ledger.of(p) {
			st.ledger.breaks(p, "with a queue limit at the start: %s", what)
		}
	}
	return err
}

// sufferLimit places orders while the limit is in the way of the services'
// start, lifts it, and takes account.
func (st *stage) sufferLimit(ctx context.Context, folder string) (*limitFigures, error) {
	over := st.timeline.begin(serverBroker, "queue limit")
	defer over()
	if err := st.start(folder); err != nil {
		return nil, err
	}
	orders := st.of(programOrder)
	if err := st.awaitReady(ctx, 20*time.Second, orders...); err != nil {
		st.ledger.breaks(failsForAReason, "%v", err)
	}

	st.load = &load{seed: st.settings.Seed, rate: st.settings.Rate, processes: orders, timeline: st.timeline, ledger: &st.ledger}
	loading, stopLoad := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { st.load.run(loading, lastAnswers) })
	defer func() {
		stopLoad()
		wg.Wait()
	}()
	f := new(limitFigures)
	sleep(ctx, limitTime)
	f.meanwhile = st.load.answers()
	if _, err := st.servers.depths(); err == nil {
		st.ledger.breaks(faultsMade, "the limit was not in the way: all queues are there")
	}
	if err := st.servers.liftLimit(ctx); err != nil {
		return nil, err
	}
	over()
	sleep(ctx, afterLimit)
	var err error
	for _, p := range st.processes {
		err = errors.Join(err, p.revive()) // its end breaks a promise; the account is taken all the same
	}
	stopLoad()
	wg.Wait()
	if err := errors.Join(err, st.awaitReady(ctx, time.Minute, st.processes...)); err != nil {
		return nil, err
	}

	if f.drain, err = st.drain(ctx, drainTimeout); err != nil {
		return nil, err
	}
	f.account, err = st.takeAccount(ctx, &evidence{requests: st.load.requests}, st.processes)
	return f, err
}

// apart returns the same servers, with a database and a virtual host of that
// name, which nobody else uses.
func (s *servers) apart(name string) *servers {
	store, broker := *s.store, *s.broker
	store.Path, broker.Path, broker.RawPath = "/"+name, "/"+name, ""
	return &servers{module: s.module, store: &store, broker: &broker, database: s.database.Client().Database(name), ours: s.ours}
}

// makeVhost makes the virtual host, which allows so many queues.
func (s *servers) makeVhost(ctx context.Context, queues int) error {
	uri, err := amqp.ParseURI(s.broker.String())
	if err != nil {
		return err
	}
	limits, err := json.Marshal(map[string]int{"max-queues": queues})
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"add_vhost", uri.Vhost},
		{"set_permissions", "--vhost", uri.Vhost, uri.Username, ".*", ".*", ".*"},
		{"set_vhost_limits", "--vhost", uri.Vhost, string(limits)},
	} {
		if err := s.rabbitmqctl(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

func (s *servers) liftLimit(ctx context.Context) error {
	return s.rabbitmqctl(ctx, "clear_vhost_limits", "--vhost", s.vhost())
}

// remove removes the virtual host and the database.
func (s *servers) remove(ctx context.Context) error {
	return errors.Join(s.rabbitmqctl(ctx, "delete_vhost", s.vhost()), s.database.Drop(ctx))
}
