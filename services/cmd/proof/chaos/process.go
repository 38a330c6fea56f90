package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// The executables, and the servers that they use.
const (
	programOrder        = "order"
	programNotification = "notification"

	serverStore  = "store"
	serverBroker = "broker"
)

// requestTimeout bounds each request to a service.
const requestTimeout = 10 * time.Second

// instances is the number of processes of each program.
const instances = 2

// names returns the names of the program's processes.
func names(program string) (all []string) {
	for n := range instances {
		all = append(all, fmt.Sprintf("%s-%d", program, n+1))
	}
	return all
}

// process is a service over all its lives. It reaches each server through a proxy.
// Each life logs to a file of its own, NAME.NUMBER.log.
type process struct {
	harness.Command
	logs    string            // folder
	links   map[string]*proxy // by server
	journal *journal

	fresh, rested size

	watchers sync.WaitGroup
	mu       sync.Mutex // held while it dies or starts
	life     *harness.Process
	lives    int
	ended    bool // the harness has ended this life
}

// newProcess returns the process with links to the trial's servers.
func newProcess(program, name string, t *trial) (*process, error) {
	p := &process{logs: t.folder, links: make(map[string]*proxy), journal: t.journal}
	store, err := p.link(serverStore, t.servers.database.URL, newMongoTap)
	if err != nil {
		return nil, err
	}
	query := store.Query()
	query.Set("directConnection", "true") // the driver would go around the proxy
	if store.User == nil {
		store.User = login
		query.Set("authMechanism", loginMechanism)
	}
	store.RawQuery = query.Encode()
	p.links[serverStore].answerBy(acceptLogin)
	broker, err := p.link(serverBroker, t.servers.Broker, newAMQPTap)
	if err != nil {
		return nil, err
	}
	p.Command, err = harness.NewCommand(name, filepath.Join(t.folder, program),
		"--log-format=json", "--request-timeout="+requestTimeout.String(), "--shutdown-timeout=10s",
		"--start-timeout=10m", // a server may be down for long
		"--shutdown-delay=0s") // requests are under way at SIGTERM
	p.Env = harness.ServerEnv(store, broker)
	if program == programNotification {
		p.Env = append(p.Env, t.notifierEnv()...)
	}
	return p, err
}

// link opens a proxy to the server and returns the URL that leads through it.
func (p *process) link(server string, u *url.URL, newTap func() tap) (*url.URL, error) {
	link, err := newProxy(u.Host, newTap)
	if err != nil {
		return nil, err
	}
	p.links[server] = link
	through := *u
	through.Host = link.addr()
	return &through, nil
}

// linkName is the scope of a process's link to a server.
func linkName(process, server string) string { return process + " " + server }

// killed is the scope of the moment at which a process is killed.
func killed(process string) string { return process + " killed" }

// start starts the next life. The process counts as disturbed until it is ready. The
// caller holds p.mu.
func (p *process) start() error {
	p.lives++
	life, err := p.Command.Start(filepath.Join(p.logs, fmt.Sprintf("%s.%04d.log", p.Name, p.lives)))
	if err != nil {
		return err
	}
	p.life, p.ended = life, false
	ready := p.journal.begin("start", p.Name)
	p.watchers.Go(func() {
		defer ready()
		if life.AwaitReady(context.Background(), 20*time.Millisecond) == nil {
			ready()
		}
		<-life.Done
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case p.ended || p.life != life:
		case p.refused(life):
			p.journal.note("%s: the store refused its start: %v", p.Name, life.State())
			time.Sleep(time.Second)
			if err := p.start(); err != nil { // as a supervisor does
				p.journal.breaks(livesUntilKilled, "%v", err)
			}
		default:
			p.journal.breaks(livesUntilKilled, "%s, life %d: %v", p.Name, p.lives, life.State())
		}
	})
	return nil
}

// refused reports whether the life ended as it should: at its start, because the
// store refused its login or its rights, which only a person can change.
func (p *process) refused(life *harness.Process) bool {
	log, err := os.ReadFile(life.Log)
	return err == nil && life.State().ExitCode() == 1 &&
		!bytes.Contains(log, []byte(`"msg":"listening"`)) && bytes.Contains(log, []byte("refused")) &&
		p.journal.disturbed(life.Began, time.Now(), loginChanged, rightsRevoked)
}

// end sends the signal and waits for the end. The caller holds p.mu.
func (p *process) end(signal syscall.Signal) error {
	p.ended = true
	return p.life.End(signal)
}

// bounce ends the process by the signal and starts it after the pause.
func (p *process) bounce(ctx context.Context, signal syscall.Signal, pause time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.journal.begin(signal.String(), p.Name)()
	if signal == syscall.SIGKILL {
		defer p.journal.begin("killed", killed(p.Name))()
	}
	ended := p.end(signal)
	harness.Sleep(ctx, pause)
	if err := p.start(); err != nil {
		return err
	}
	return ended
}

// revive starts the process unless it runs.
func (p *process) revive() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life != nil {
		select {
		case <-p.life.Done:
		default:
			return nil
		}
	}
	return p.start()
}

// close kills the process and closes its links.
func (p *process) close() {
	p.mu.Lock()
	if p.life != nil {
		p.ended = true
		p.life.Kill()
	}
	p.mu.Unlock()
	p.watchers.Wait()
	for _, link := range p.links {
		link.close()
	}
}
