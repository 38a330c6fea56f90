package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
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

// process is a service over all its lives. It reaches each server through a proxy.
// Each life logs to a file of its own, NAME.NUMBER.log.
type process struct {
	harness.Command
	program string
	logs    string            // folder
	links   map[string]*proxy // by server
	journal *journal

	watchers sync.WaitGroup
	mu       sync.Mutex // held while it dies or starts
	life     *life
	lives    int
	closed   bool // it starts no more
}

// life is one run of the executable.
type life struct {
	*harness.Process
	number   int
	expected atomic.Bool // the harness ends it
}

// newProcess returns the process with links to the trial's servers.
func newProcess(program, name string, t *trial) (*process, error) {
	p := &process{program: program, logs: t.folder, links: make(map[string]*proxy), journal: t.journal}
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
	p.Command, err = harness.NewCommand(name, filepath.Join(t.binaries, program),
		"--log-format=json", "--store="+store.String(), "--broker="+broker.String(),
		"--request-timeout="+requestTimeout.String(), "--shutdown-timeout=10s",
		"--start-timeout=10m", // a server may be down for long
		"--shutdown-delay=0s") // requests are under way at SIGTERM
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

// start starts the next life. The caller holds p.mu, or is the only one.
func (p *process) start() error {
	p.lives++
	run, err := p.Command.Start(filepath.Join(p.logs, fmt.Sprintf("%s.%04d.log", p.Name, p.lives)))
	if err != nil {
		return err
	}
	l := &life{Process: run, number: p.lives}
	p.life = l
	p.watchers.Go(func() {
		<-l.Done
		switch {
		case l.expected.Load():
		case p.refused(l):
			p.journal.note("%s: the store refused its start: %v", p.Name, l.State())
			time.Sleep(time.Second)
			p.startAfter(l)
		default:
			p.journal.breaks(livesUntilKilled, "%s, life %d: %v", p.Name, l.number, l.State())
		}
	})
	return nil
}

// refused reports whether the life ended as it should: at its start, because the
// store refused its login or its rights, which only a person can change.
func (p *process) refused(l *life) bool {
	log, err := os.ReadFile(l.Log)
	return err == nil && l.State().ExitCode() == 1 &&
		!bytes.Contains(log, []byte(`"msg":"listening"`)) && bytes.Contains(log, []byte("refused")) &&
		p.journal.lasted(l.Began, time.Now(), serverStore, string(changeLogin), string(revokeRights))
}

// startAfter starts the process if l is still its last life, as a supervisor does.
func (p *process) startAfter(l *life) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.life != l {
		return
	}
	if err := p.start(); err != nil {
		p.journal.breaks(livesUntilKilled, "%v", err)
	}
}

// end sends the signal and waits for the end. The caller holds p.mu.
func (p *process) end(signal syscall.Signal) error {
	p.life.expected.Store(true)
	return p.life.End(signal)
}

// bounce ends the process by the signal and starts it after the pause. The process
// counts as disturbed until it is ready.
func (p *process) bounce(ctx context.Context, signal syscall.Signal, pause time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	over := p.journal.begin(p.Name, signal.String())
	ended := p.end(signal)
	harness.Sleep(ctx, pause)
	if err := p.start(); err != nil {
		return err
	}
	p.watchers.Go(func() {
		defer over()
		for !harness.Ready(context.Background(), p.Addr) && !p.isClosed() {
			time.Sleep(20 * time.Millisecond)
		}
	})
	return ended
}

func (p *process) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// revive starts the process if it has ended.
func (p *process) revive() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.life.Done:
		return p.start()
	default:
		return nil
	}
}

// close kills the process and closes its links.
func (p *process) close() {
	p.mu.Lock()
	p.closed = true
	if p.life != nil {
		p.life.expected.Store(true)
		p.life.Kill()
	}
	p.mu.Unlock()
	p.watchers.Wait()
	for _, link := range p.links {
		link.close()
	}
}
