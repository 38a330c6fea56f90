package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// The bounds of what follows the faults.
const (
	lastFaults       = 90 * time.Second // for kills at boundaries that no process has reached yet, and faults of a server that others disturb
	lastAnswers      = time.Minute      // for clients to get a final answer
	drainTimeout     = 3 * time.Minute
	lastDrainTimeout = 30 * time.Second // for messages that arrived after the first drain
)

// trial is one run and everything that takes part in it.
type trial struct {
	*settings
	*journal
	servers   *servers
	folder    string // for the executables and the logs
	processes []*process
	receivers map[string]*receiver // by channel
	load      *load

	alone map[string]*sync.Mutex // by server and channel: one fault at a time

	mu         sync.Mutex
	made       map[string]int // faults, by title
	poison     []string       // bodies that the broker has confirmed
	poisonings int            // poison messages made, which numbers them
	duplicates int            // events published again

	drained         time.Duration
	outage, limited []row // nil if not tried
	absences        []absence
	killedAt        time.Time // the notifier, in the scenario of absent receivers
	account         account
}

// run makes the trial and reports whether every promise held. Unless it did, the logs
// and the database are kept.
func run(ctx context.Context, s *settings) (held bool, err error) {
	database := fmt.Sprintf("chaos_%d_%06d", s.Seed, rand.IntN(1_000_000))
	servers, err := openServers(ctx, s.Store, s.Broker, database)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, servers.Close(context.WithoutCancel(ctx))) }()

	var plan []fault
	if s.Scenario == scenarioFaults {
		plan = draw(s.Seed, s.Duration, func(server string) bool { return servers.ours[server] })
	}
	fmt.Printf("chaos: seed %d, %v, %d faults\n", s.Seed, s.Duration, len(plan))
	for _, server := range []string{serverStore, serverBroker} {
		if !servers.ours[server] {
			fmt.Printf("chaos: .ci/services did not start the %s: the run does not restart, stop or change it\n", server)
		}
	}
	folder, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return false, err
	}
	log, err := os.Create(filepath.Join(folder, "timeline.log"))
	if err != nil {
		return false, err
	}
	defer log.Close()
	for _, f := range plan {
		fmt.Fprintln(log, "plan:", f)
	}
	j := &journal{log: log}
	t := &trial{
		settings: s, journal: j, servers: servers, folder: folder, account: account{journal: j, killWindow: serversWindow},
		alone: map[string]*sync.Mutex{serverStore: {}, serverBroker: {}, harness.Email: {}, harness.Webhook: {}}, made: make(map[string]int),
	}
	err = t.play(ctx, plan)
	t.close()
	held = err == nil && t.report(os.Stdout)
	if held || ctx.Err() != nil {
		whole := context.WithoutCancel(ctx)
		return held, errors.Join(err, servers.database.Drop(whole), servers.Clean(whole, false, harness.Queues...), os.RemoveAll(folder))
	}
	fmt.Printf("\nkept: the logs in %s, the database %s\nagain: --scenario %s --seed %d --duration %v --rate %d\n",
		folder, database, s.Scenario, s.Seed, s.Duration, s.Rate)
	j.writeBroken(os.Stdout)
	return false, err
}

// play plays the trial and accounts for it.
func (t *trial) play(ctx context.Context, plan []fault) error {
	start := func(context.Context) error { return t.start() }
	if t.Scenario == scenarioFaults && t.servers.ours[serverBroker] {
		start = t.startLimited
	}
	return inTurn(ctx,
		func(ctx context.Context) error { return harness.Build(ctx, t.folder) },
		func(ctx context.Context) error { return t.servers.Clean(ctx, false, harness.Queues...) },
		func(context.Context) error { return t.startReceivers() },
		t.importContacts,
		start,
		func(ctx context.Context) error { return awaitReady(ctx, time.Minute, t.processes...) },
		t.awaitChannels,
		t.measureFresh,
		func(ctx context.Context) error { return t.suffer(ctx, plan) },
		t.settle)
}

// suffer runs the load and makes the faults. Then it restores everything.
func (t *trial) suffer(ctx context.Context, plan []fault) (err error) {
	stopLoad := t.startLoad(ctx)
	defer stopLoad()
	switch t.Scenario {
	case scenarioOutage:
		err = t.stopBroker(ctx)
	case scenarioReceivers:
		err = t.loseReceivers(ctx, stopLoad)
	default:
		t.makeAll(ctx, plan)
	}
	return errors.Join(err, t.servers.restore(context.WithoutCancel(ctx)), inTurn(ctx, t.revive,
		func(ctx context.Context) error { return awaitReady(ctx, 2*time.Minute, t.processes...) }))
}

// startLoad starts the load, or continues it. The function that it returns stops the
// load and waits for its last answers.
func (t *trial) startLoad(ctx context.Context) (stop func()) {
	if t.load == nil {
		t.load = &load{seed: t.Seed, clients: usualClients, users: t.users(), rate: t.Rate, processes: t.of(programOrder), journal: t.journal}
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { t.load.run(ctx, lastAnswers) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// start starts the processes.
func (t *trial) start() error {
	for _, program := range []string{programOrder, programNotification} {
		for _, name := range names(program) {
			p, err := newProcess(program, name, t)
			if err != nil {
				return err
			}
			t.processes = append(t.processes, p)
			if err := p.revive(); err != nil {
				return err
			}
		}
	}
	return nil
}

// of returns the processes of the program.
func (t *trial) of(program string) (some []*process) {
	for _, p := range t.processes {
		if strings.HasPrefix(p.Name, program+"-") {
			some = append(some, p)
		}
	}
	return some
}

// named returns the process of that name.
func (t *trial) named(name string) *process {
	return t.processes[slices.IndexFunc(t.processes, func(p *process) bool { return p.Name == name })]
}

func awaitReady(ctx context.Context, timeout time.Duration, processes ...*process) error {
	unready := slices.Clone(processes)
	ready := func() bool {
		unready = slices.DeleteFunc(unready, func(p *process) bool { return harness.Ready(ctx, p.Addr) })
		return len(unready) == 0
	}
	if !await(ctx, timeout, ready) {
		return fmt.Errorf("%s is not ready within %v", unready[0].Name, timeout)
	}
	return nil
}

// revive starts the processes that have ended.
func (t *trial) revive(context.Context) (err error) {
	for _, p := range t.processes {
		err = errors.Join(err, p.revive())
	}
	return err
}

// stop ends the processes with SIGTERM, all at once. They count as disturbed from then
// on.
func (t *trial) stop(processes ...*process) {
	var wg sync.WaitGroup
	for _, p := range processes {
		wg.Go(func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			began := time.Now()
			t.begin("stop", p.Name)
			err := p.end(syscall.SIGTERM)
			t.note("%s: stopped after %v: %v", p.Name, time.Since(began).Round(time.Millisecond), err)
			if err != nil {
				t.breaks(stopsWell, "%v", err)
			}
		})
	}
	wg.Wait()
}

// close kills the processes that still run and closes their links.
func (t *trial) close() {
	for _, p := range t.processes {
		p.close()
	}
	t.closeReceivers()
}
