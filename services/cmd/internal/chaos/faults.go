package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// disturber makes the faults of a plan.
type disturber struct {
	processes map[string]*process
	servers   *servers
	mailman   *mailman
	timeline  *timeline
	ledger    *ledger
	watermark []string // the broker's own setting

	alone  map[string]*sync.Mutex // held while a server is disturbed
	mu     sync.Mutex
	counts map[string]int // by title
}

// run makes each fault at its time, and returns once all are over. When ctx
// ends, those under way end too.
func (d *disturber) run(ctx context.Context, plan []fault) {
	began := time.Now()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, f := range plan {
		if !sleep(ctx, time.Until(began.Add(f.at))) {
			return
		}
		wg.Go(func() {
			made, err := d.make(ctx, f)
			if err != nil {
				d.timeline.note("%s %s: %v", f.title(), f.process, err)
				if ctx.Err() == nil {
					d.ledger.breaks(faultsMade, "%s %s: %v", f.title(), f.process, err)
				}
			}
			if made {
				d.mu.Lock()
				d.counts[f.title()]++
				d.mu.Unlock()
			}
		})
	}
}

func sleep(ctx context.Context, d time.Duration) (slept bool) {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// make makes the fault and returns when it is over.
func (d *disturber) make(ctx context.Context, f fault) (made bool, err error) {
	p := d.processes[f.process]
	switch f.kind {
	case killAtBoundary:
		return d.killAt(ctx, p, f)
	case killAnywhere:
		return true, p.bounce(ctx, syscall.SIGKILL, f.length)
	case terminate:
		return true, d.terminate(ctx, p, f.length)
	case cutLink, refuseLink, delayLink, swallowLink:
		d.disturbLink(ctx, p, f)
		return true, nil
	case duplicate:
		return d.mailman.publishAgain(ctx, 5)
	case poison:
		return d.mailman.putPoison(ctx, 1)
	}
	return d.disturbServer(ctx, f)
}

// killAt kills the process at the boundary, as soon as it comes there.
func (d *disturber) killAt(ctx context.Context, p *process, f fault) (made bool, err error) {
	link := p.links[f.boundary.server]
	t := link.set(f.boundary.step)
	defer func() { link.unset(t) }()
	for {
		if f.boundary.poison {
			if _, err := d.mailman.putPoison(ctx, 1); err != nil {
				return false, err
			}
		}
		select {
		case held := <-t.sprung:
			if held.isClosed() { // something else was quicker
				t = link.set(f.boundary.step)
				continue
			}
			d.timeline.note("%s: held %s", p.name, f.boundary.name)
			err := p.bounce(ctx, syscall.SIGKILL, f.length)
			held.close()
			return true, err
		case <-time.After(time.Second): // the other notifier may have got the poison
		case <-ctx.Done():
			return false, fmt.Errorf("not met: %w", ctx.Err())
		}
	}
}

// terminate stops the process as its users do. It may take longer than it is
// allowed only while a server is away.
func (d *disturber) terminate(ctx context.Context, p *process, pause time.Duration) error {
	began := time.Now()
	err := p.bounce(ctx, syscall.SIGTERM, pause)
	if err == nil {
		return nil
	}
	d.timeline.note("%s: %v", p.name, err)
	if !d.timeline.disturbed(began.Add(-settleTime), time.Now(), p.link(serverStore), p.link(serverBroker), serverStore, serverBroker) {
		d.ledger.breaks(stopsWell, "%s: %v, with both servers there", p.name, err)
	}
	return nil
}

func (d *disturber) disturbLink(ctx context.Context, p *process, f fault) {
	link := p.links[f.server]
	defer d.timeline.begin(p.link(f.server), string(f.kind))()
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
	sleep(ctx, f.length)
}

// linkDelay is what a delayed link adds in each direction.
const linkDelay = 150 * time.Millisecond

// disturbServer does to a server what its operators may, or bad luck.
func (d *disturber) disturbServer(ctx context.Context, f fault) (made bool, err error) {
	server := f.server
	if f.kind == closeConnections {
		server = serverBroker
	}
	d.alone[server].Lock()
	defer d.alone[server].Unlock()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	lasting := context.WithoutCancel(ctx) // what is begun is brought to its end
	defer d.timeline.begin(server, string(f.kind))()
	switch f.kind {
	case restartServer:
		_, err = d.servers.control(lasting, "restart", server)
	case stopServer:
		if _, err = d.servers.control(lasting, "stop", server); err == nil {
			sleep(ctx, f.length)
		}
		if _, startErr := d.servers.control(lasting, "start", server); startErr != nil {
			err = startErr
		}
	case changeLogin, revokeRights, fillQuota:
		d.refuse(ctx, f)
	case alarm:
		if err = d.servers.setWatermark(lasting, strconv.FormatFloat(alarmWatermark, 'f', -1, 64)); err == nil {
			sleep(ctx, f.length)
		}
		if resetErr := d.servers.setWatermark(lasting, d.watermark...); resetErr != nil {
			err = resetErr
		}
	case closeConnections:
		err = d.servers.rabbitmqctl(lasting, "close_all_connections", "--vhost", d.servers.vhost(), "chaos")
	default:
		err = fmt.Errorf("no such fault")
	}
	return err == nil, err
}

// refuse has the store refuse every process what the fault takes from them. A
// changed login is asked for on new connections only, so it cuts the old ones.
func (d *disturber) refuse(ctx context.Context, f fault) {
	for _, p := range d.processes {
		link := p.links[serverStore]
		link.answerBy(refusals[f.kind].standIn)
		defer link.answerBy(acceptLogin)
		if f.kind == changeLogin {
			link.cut()
		}
	}
	sleep(ctx, f.length)
}
