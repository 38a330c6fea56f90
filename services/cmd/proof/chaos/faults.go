package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// linkDelay is the latency that a delayed link adds in each direction.
const linkDelay = 150 * time.Millisecond

// makeAll makes each fault of the plan at its time, until the duration is over.
func (t *trial) makeAll(ctx context.Context, plan []fault) {
	faults, stop := context.WithTimeout(ctx, t.Duration+lastFaults)
	defer stop()
	began := time.Now()
	reporting, stopReporting := context.WithCancel(ctx)
	var reporter, making sync.WaitGroup
	reporter.Go(func() {
		for harness.Sleep(reporting, 30*time.Second) {
			fmt.Printf("chaos: %v: %d orders placed\n", time.Since(began).Round(time.Second), t.load.numbers.Load())
		}
	})
	for _, f := range plan {
		if !harness.Sleep(faults, time.Until(began.Add(f.at))) {
			break
		}
		making.Go(func() {
			made, err := t.make(faults, f)
			if err != nil {
				t.note("%s %s: %v", f.title(), f.process, err)
				if ctx.Err() == nil {
					t.breaks(faultsMade, "%s %s: %v", f.title(), f.process, err)
				}
			}
			if made {
				t.mu.Lock()
				t.made[f.title()]++
				t.mu.Unlock()
			}
		})
	}
	making.Wait()
	stopReporting()
	reporter.Wait()
	harness.Sleep(ctx, t.Duration-time.Since(began))
}

// make makes the fault and returns when it is over.
func (t *trial) make(ctx context.Context, f fault) (made bool, err error) {
	p := t.named(f.process)
	switch f.kind {
	case killAtBoundary:
		return t.killAt(ctx, p, f)
	case killAnywhere:
		return true, p.bounce(ctx, syscall.SIGKILL, f.length)
	case terminate:
		return true, t.terminate(ctx, p, f.length)
	case cutLink, refuseLink, delayLink, swallowLink:
		t.disturbLink(ctx, p, f)
		return true, nil
	case duplicate:
		return t.publishAgain(ctx, 5)
	case poison:
		return t.putPoison(ctx)
	}
	return t.disturbServer(ctx, f)
}

// killAt kills the process as soon as it reaches the boundary.
func (t *trial) killAt(ctx context.Context, p *process, f fault) (made bool, err error) {
	link := p.links[f.boundary.server]
	trap := link.set(f.boundary.step)
	defer func() { link.unset(trap) }()
	for {
		if f.boundary.poison {
			if _, err := t.putPoison(ctx); err != nil {
				return false, err
			}
		}
		select {
		case held := <-trap.sprung:
			if held.isClosed() { // another fault was quicker
				trap = link.set(f.boundary.step)
				continue
			}
			t.note("%s: held %s", p.Name, f.boundary.name)
			err := p.bounce(ctx, syscall.SIGKILL, f.length)
			held.close()
			return true, err
		case <-time.After(time.Second): // the other notifier may have got the poison
		case <-ctx.Done():
			return false, fmt.Errorf("never reached: %w", ctx.Err())
		}
	}
}

// terminate stops the process as its users do. It may exceed its time only while a
// server is down.
func (t *trial) terminate(ctx context.Context, p *process, pause time.Duration) error {
	began := time.Now()
	if err := p.bounce(ctx, syscall.SIGTERM, pause); err != nil {
		t.note("%v", err)
		if !t.disturbed(began.Add(-settleTime), time.Now(), linkName(p.Name, serverStore), linkName(p.Name, serverBroker), serverStore, serverBroker) {
			t.breaks(stopsWell, "%v, with both servers up", err)
		}
	}
	return nil
}

func (t *trial) disturbLink(ctx context.Context, p *process, f fault) {
	link := p.links[f.server]
	defer t.begin(linkName(p.Name, f.server), string(f.kind))()
	switch f.kind {
	case cutLink:
		link.cut()
	case refuseLink:
		link.refuse(true)
		defer link.refuse(false)
		link.cut()
	case delayLink:
		link.slow(linkDelay)
		defer link.slow(0)
	case swallowLink:
		link.swallow()
		defer link.flow()
	}
	harness.Sleep(ctx, f.length)
}

// disturbServer does to a server what operators and accidents do.
func (t *trial) disturbServer(ctx context.Context, f fault) (made bool, err error) {
	server := f.server
	if f.kind == closeConnections {
		server = serverBroker
	}
	t.alone[server].Lock()
	defer t.alone[server].Unlock()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	defer t.begin(server, string(f.kind))()
	whole := context.WithoutCancel(ctx) // a fault that has begun is also undone
	switch f.kind {
	case restartServer:
		_, err = t.servers.control(whole, "restart", server)
	case stopServer:
		_, err = t.servers.control(whole, "stop", server)
		harness.Sleep(ctx, f.length)
		_, startErr := t.servers.control(whole, "start", server)
		err = errors.Join(err, startErr)
	case changeLogin, revokeRights, fillQuota:
		t.refuse(ctx, f)
	case alarm:
		err = t.servers.setAlarm(whole, true)
		harness.Sleep(ctx, f.length)
		err = errors.Join(err, t.servers.setAlarm(whole, false))
	case closeConnections:
		_, err = t.servers.rabbitmqctl(whole, "close_all_connections", "--vhost", t.servers.VHost(), "chaos")
	default:
		err = fmt.Errorf("unknown fault %q", f.kind)
	}
	return err == nil, err
}

// refuse makes the store refuse every process what the fault takes from it. The
// store asks for a changed login on new connections only, so the old ones are cut.
func (t *trial) refuse(ctx context.Context, f fault) {
	for _, p := range t.processes {
		link := p.links[serverStore]
		link.answerBy(refusals[f.kind].standIn)
		defer link.answerBy(acceptLogin)
		if f.kind == changeLogin {
			link.cut()
		}
	}
	harness.Sleep(ctx, f.length)
}
