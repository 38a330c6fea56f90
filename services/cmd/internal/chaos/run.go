package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The bounds of what comes after the faults.
const (
	lastFaults       = 30 * time.Second // for kills at boundaries that were not met yet
	lastAnswers      = time.Minute      // for clients to get a final answer
	drainTimeout     = 3 * time.Minute
	lastDrainTimeout = 30 * time.Second // of what came in since
)

// run makes the run and reports whether every promise held.
func run(ctx context.Context, s *settings) (held bool, err error) {
	database := fmt.Sprintf("chaos_%d_%06d", s.Seed, rand.IntN(1_000_000))
	servers, err := openServers(ctx, s.Store, s.Broker, database)
	if err != nil {
		return false, err
	}
	keep := false
	defer func() { err = errors.Join(err, servers.close(context.WithoutCancel(ctx), !keep)) }()

	plan := draw(s.Seed, s.Duration, func(server string) bool { return servers.ours[server] })
	if s.Scenario == scenarioOutage {
		plan = nil
	}
	fmt.Printf("chaos: seed %d, %v, %d faults\n", s.Seed, s.Duration, len(plan))
	for _, server := range []string{serverStore, serverBroker} {
		if !servers.ours[server] {
			fmt.Printf("chaos: the %s was not started here: it is not restarted, stopped or otherwise touched\n", server)
		}
	}
	if s.Plan {
		for _, f := range plan {
			fmt.Println(f)
		}
		return true, nil
	}

	st := &stage{settings: s, servers: servers}
	if st.folder, err = os.MkdirTemp("", "chaos"); err != nil {
		return false, err
	}
	log, err := os.Create(filepath.Join(st.folder, "timeline.log"))
	if err != nil {
		return false, err
	}
	defer log.Close()
	st.timeline = &timeline{log: log}
	for _, f := range plan {
		fmt.Fprintln(log, "plan:", f)
	}
	keep = true // unless all has held
	report, err := st.play(ctx, plan)
	if err != nil {
		keep = !errors.Is(err, context.Canceled)
		return false, fmt.Errorf("%w (see %s)", err, st.folder)
	}
	if report.print(os.Stdout) {
		keep = false
		if s.Sample > 0 {
			fmt.Printf("\nsamples: %s\n", st.folder)
			return true, nil
		}
		return true, os.RemoveAll(st.folder)
	}
	fmt.Printf("\nkept: the logs in %s, the database %s\nagain: --scenario %s --seed %d --duration %v --rate %d\n",
		st.folder, database, s.Scenario, s.Seed, s.Duration, s.Rate)
	return false, nil
}

// play plays the run and takes account.
func (st *stage) play(ctx context.Context, plan []fault) (*report, error) {
	folder, err := st.build(ctx)
	if err != nil {
		return nil, err
	}
	if err := st.servers.clean(); err != nil {
		return nil, err
	}
	if st.settings.Scenario == scenarioFaults && st.servers.ours[serverBroker] {
		if err := st.startLimited(ctx, folder); err != nil {
			return nil, fmt.Errorf("start with a queue limit: %w", err)
		}
	}
	defer st.close()
	if err := st.start(folder); err != nil {
		return nil, err
	}
	if err := st.awaitReady(ctx, time.Minute, st.processes...); err != nil {
		return nil, err
	}
	stopSampling := st.sample(ctx)
	defer stopSampling()

	if err := st.suffer(ctx, plan); err != nil {
		return nil, err
	}
	return st.settle(ctx)
}

// suffer has the load run, and the faults made, for the time of the run. In the
// end all is as it was.
func (st *stage) suffer(ctx context.Context, plan []fault) error {
	st.load = &load{
		seed: st.settings.Seed, rate: st.settings.Rate, processes: st.of(programOrder),
		timeline: st.timeline, ledger: &st.ledger,
	}
	st.disturber = &disturber{
		processes: make(map[string]*process), servers: st.servers, timeline: st.timeline, ledger: &st.ledger,
		mailman: &mailman{seed: st.settings.Seed, servers: st.servers, load: st.load},
		alone:   map[string]*sync.Mutex{serverStore: {}, serverBroker: {}}, counts: make(map[string]int),
	}
	for _, p := range st.processes {
		st.disturber.processes[p.name] = p
	}
	if st.servers.ours[serverBroker] {
		var err error
		if st.disturber.watermark, err = st.servers.watermark(ctx); err != nil {
			return err
		}
	}
	if err := st.figures.atStart(ctx, st.processes); err != nil {
		return err
	}

	loading, stopLoad := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { st.load.run(loading, lastAnswers) })
	defer func() {
		stopLoad()
		wg.Wait()
	}()
	var err error
	if st.settings.Scenario == scenarioOutage {
		err = st.outage(ctx)
	} else {
		st.allFaults(ctx, plan)
	}
	// Whatever has come in between, nothing stays broken.
	restoring := context.WithoutCancel(ctx)
	err = errors.Join(err, st.servers.restore(restoring))
	for _, p := range st.processes {
		err = errors.Join(err, p.revive())
	}
	if err == nil {
		err = st.awaitReady(ctx, 2*time.Minute, st.processes...)
	}
	return errors.Join(err, context.Cause(ctx))
}

func (st *stage) allFaults(ctx context.Context, plan []fault) {
	faults, stop := context.WithTimeout(ctx, st.settings.Duration+lastFaults)
	defer stop()
	began := time.Now()
	progress := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-time.After(30 * time.Second):
				fmt.Printf("chaos: %v: %d orders placed\n", time.Since(began).Round(time.Second), st.load.numbers.Load())
			case <-progress:
				return
			}
		}
	})
	st.disturber.run(faults, plan)
	close(progress)
	wg.Wait()
	sleep(ctx, st.settings.Duration-time.Since(began))
}
