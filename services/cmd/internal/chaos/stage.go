package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// stage is a run with all that takes part in it.
type stage struct {
	settings *settings
	folder   string // of the run
	servers  *servers
	timeline *timeline
	ledger   ledger

	processes []*process
	load      *load
	disturber *disturber
	figures   figures
}

// build returns the folder of the executables.
func (st *stage) build(ctx context.Context) (string, error) {
	if st.settings.Binaries != "" {
		return st.settings.Binaries, nil
	}
	folder := filepath.Join(st.folder, "bin")
	args := []string{"build", "-o", folder + "/"}
	if st.settings.Race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./services/cmd/order", "./services/cmd/notification")...)
	cmd.Dir = st.servers.module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the executables: %w\n%s", err, out)
	}
	return folder, nil
}

// start starts the processes.
func (st *stage) start(folder string) error {
	for _, program := range []string{programOrder, programNotification} {
		for n := range instances {
			p, err := st.newProcess(program, instance(program, n+1), folder)
			if err != nil {
				return err
			}
			st.processes = append(st.processes, p)
			if err := p.start(); err != nil {
				return err
			}
		}
	}
	return nil
}

// close kills the processes that still run and closes their links.
func (st *stage) close() {
	for _, p := range st.processes {
		p.close()
	}
}

func (st *stage) awaitReady(ctx context.Context, timeout time.Duration, processes ...*process) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, p := range processes {
		for !ready(p.address) {
			if !sleep(ctx, 50*time.Millisecond) {
				return fmt.Errorf("%s is not ready: %w", p.name, ctx.Err())
			}
		}
	}
	return nil
}

func (st *stage) newProcess(program, name, folder string) (*process, error) {
	p := &process{
		name: name, program: program, folder: folder, logs: st.folder,
		links: make(map[string]*proxy), timeline: st.timeline, ledger: &st.ledger,
	}
	urls := make(map[string]string)
	for _, l := range []struct {
		server string
		url    *url.URL
		newTap func() tap
	}{{serverStore, st.servers.store, newMongoTap}, {serverBroker, st.servers.broker, newAMQPTap}} {
		u := *l.url
		link, err := newProxy(u.Host, l.newTap)
		if err != nil {
			return nil, err
		}
		p.links[l.server] = link
		u.Host = link.address()
		if l.server == serverStore {
			query := u.Query()
			query.Set("directConnection", "true") // not round the proxy
			if u.User == nil {
				u.User = login
				query.Set("authMechanism", loginMechanism)
			}
			u.RawQuery = query.Encode()
			link.answerBy(acceptLogin)
		}
		urls[l.server] = u.String()
	}
	var err error
	if p.address, err = freeAddress(); err != nil {
		return nil, err
	}
	if p.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	p.args = []string{
		"--addr=" + p.address, "--admin-addr=" + p.admin, "--log-format=json",
		"--store=" + urls[serverStore], "--broker=" + urls[serverBroker],
		"--request-timeout=" + requestTimeout.String(), "--shutdown-timeout=" + shutdownTimeout.String(),
		"--start-timeout=" + startTimeout.String(),
		"--shutdown-delay=0s", // SIGTERM is to meet requests under way
	}
	return p, nil
}

// freeAddress returns an address of this machine that nobody listens at, and
// that no outgoing connection is given while its process is dead.
func freeAddress() (string, error) {
	var err error
	for range 100 {
		port := 20_000 + rand.IntN(10_000) // below what systems give outgoing connections
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("find a free address: %w", err)
}

func (st *stage) of(program string) []*process {
	var some []*process
	for _, p := range st.processes {
		if p.program == program {
			some = append(some, p)
		}
	}
	return some
}

// stop ends the processes with SIGTERM, all at once.
func (st *stage) stop(processes []*process) {
	var wg sync.WaitGroup
	for _, p := range processes {
		wg.Go(func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			took, err := p.end(syscall.SIGTERM)
			st.timeline.note("%s: stopped after %v: %v", p.name, took.Round(time.Millisecond), err)
			if err != nil {
				st.ledger.breaks(stopsWell, "%s: %v", p.name, err)
			}
		})
	}
	wg.Wait()
}
