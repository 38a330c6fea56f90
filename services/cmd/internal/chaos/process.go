package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The executables, and the servers they talk to.
const (
	programOrder        = "order"
	programNotification = "notification"

	serverStore  = "store"
	serverBroker = "broker"
)

// The bounds that the processes are given, and that they have to keep.
const (
	requestTimeout  = 10 * time.Second
	shutdownTimeout = 10 * time.Second
	startTimeout    = 10 * time.Minute // a server may be away for long when a process starts
)

// process is one of ours over all its lives. Each life has a log of its own,
// NAME.NUMBER.log in the run's folder.
type process struct {
	name, program  string
	folder         string // of the executables
	logs           string // folder
	args           []string
	address, admin string
	links          map[string]*proxy // by server
	timeline       *timeline
	ledger         *ledger

	watchers sync.WaitGroup
	mu       sync.Mutex // held while it is made to die or live
	life     *life
	lives    int
	closed   bool // it lives no more
}

// life is one run of the executable.
type life struct {
	number   int
	began    time.Time
	log      string // file
	cmd      *exec.Cmd
	done     chan struct{} // closed when it has ended
	expected atomic.Bool   // that it ends
}

func (p *process) link(server string) string { return p.name + " " + server }

// start starts the next life. The caller holds p.mu, or is alone.
func (p *process) start() error {
	p.lives++
	name := filepath.Join(p.logs, fmt.Sprintf("%s.%04d.log", p.name, p.lives))
	log, err := os.Create(name)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	l := &life{number: p.lives, began: time.Now(), log: name, cmd: exec.Command(filepath.Join(p.folder, p.program), p.args...), done: make(chan struct{})}
	l.cmd.Env = withoutOwn(os.Environ())
	l.cmd.Stdout, l.cmd.Stderr = log, log
	if err := l.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.life = l
	p.watchers.Go(func() {
		_ = l.cmd.Wait() // its status is read from ProcessState
		close(l.done)
		if l.expected.Load() {
			return
		}
		p.timeline.note("%s: ended by itself: %v", p.name, l.cmd.ProcessState)
		if p.wasRefused(l) {
			p.startAgain(l)
			return
		}
		p.ledger.breaks(livesUntilKilled, "%s, life %d: %v", p.name, l.number, l.cmd.ProcessState)
	})
	return nil
}

// wasRefused reports whether the life ended as it should: at its start, because
// the store refused its login or its rights, which somebody has to change.
func (p *process) wasRefused(l *life) bool {
	log, err := os.ReadFile(l.log)
	return err == nil && l.cmd.ProcessState.ExitCode() == 1 &&
		!bytes.Contains(log, []byte(`"msg":"listening"`)) && bytes.Contains(log, []byte("refused")) &&
		p.timeline.lasted(l.began, time.Now(), serverStore, string(changeLogin), string(revokeRights))
}

// startAgain starts the process after a life that was refused, as whatever runs
// processes does.
func (p *process) startAgain(l *life) {
	time.Sleep(time.Second)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.life != l {
		return
	}
	if err := p.start(); err != nil {
		p.ledger.breaks(livesUntilKilled, "%s: %v", p.name, err)
	}
}

// withoutOwn takes out of the environment what would set the executables.
func withoutOwn(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains([]string{"ADDR", "ADMIN_ADDR", "MAX_IN_FLIGHT", "STORE_URL", "BROKER_URL", "LOG_LEVEL", "LOG_FORMAT",
			"START_TIMEOUT", "REQUEST_TIMEOUT", "SHUTDOWN_TIMEOUT", "SHUTDOWN_DELAY", "IDLE_TIMEOUT", "PREFETCH", "BROKER_MANAGEMENT_URL"}, name)
	})
}

// end sends the signal and waits for the end, which it enforces when the time
// to shut down is over. The caller holds p.mu.
func (p *process) end(signal syscall.Signal) (took time.Duration, err error) {
	began := time.Now()
	p.life.expected.Store(true)
	_ = p.life.cmd.Process.Signal(signal) // it may have ended
	select {
	case <-p.life.done:
	case <-time.After(shutdownTimeout + 2*time.Second):
		_ = p.life.cmd.Process.Kill()
		<-p.life.done
		return time.Since(began), fmt.Errorf("still ran %v after %v", time.Since(began).Round(time.Millisecond), signal)
	}
	if status := p.life.cmd.ProcessState.ExitCode(); signal == syscall.SIGTERM && status != 0 {
		return time.Since(began), fmt.Errorf("exit status %d after %v", status, signal)
	}
	return time.Since(began), nil
}

// bounce has the process end by the signal, and live again after the pause. It
// counts as disturbed until it is ready.
func (p *process) bounce(ctx context.Context, signal syscall.Signal, pause time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	over := p.timeline.begin(p.name, signal.String())
	_, ended := p.end(signal)
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
	if err := p.start(); err != nil {
		return err
	}
	l := p.life
	p.watchers.Go(func() {
		defer over()
		p.awaitReady(l)
	})
	return ended
}

// awaitReady returns once the process is ready, or has ended and is not started
// again.
func (p *process) awaitReady(l *life) {
	for !ready(p.address) {
		select {
		case <-l.done:
			if l.expected.Load() || !p.wasRefused(l) {
				return
			}
			l = p.lifeAfter(l)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lifeAfter returns the process's life, as soon as it is another than l or the
// process lives no more.
func (p *process) lifeAfter(l *life) *life {
	for {
		p.mu.Lock()
		now, closed := p.life, p.closed
		p.mu.Unlock()
		if now != l || closed {
			return now
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// revive starts the process if it has ended.
func (p *process) revive() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.life.done:
		return p.start()
	default:
		return nil
	}
}

// close kills what still runs and closes the links.
func (p *process) close() {
	p.mu.Lock()
	p.closed = true
	if p.life != nil {
		p.life.expected.Store(true)
		_ = p.life.cmd.Process.Kill()
	}
	p.mu.Unlock()
	p.watchers.Wait()
	for _, link := range p.links {
		link.close()
	}
}
