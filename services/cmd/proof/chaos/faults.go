package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// allFaults returns each fault for each target that makes a difference. None deletes
// a queue: its messages would be lost, and nothing promises otherwise.
func allFaults() []fault {
	orders, notifiers := names(programOrder), names(programNotification)
	everyone := slices.Concat(orders, notifiers)
	again := fault{title: "event published again by hand", make: func(t *trial, ctx context.Context, _ fault) error { return t.publishAgain(ctx, 5) }}
	poison := fault{title: "poison", make: func(t *trial, ctx context.Context, _ fault) error { return t.putPoison(ctx) }}
	faults := []fault{
		again, again, poison, poison,
		onProcess("SIGTERM", orders, (*trial).terminate),
		onProcess("SIGTERM", notifiers, (*trial).terminate),
		onServer(serverBroker, "broker memory alarm", 5*time.Second, 20*time.Second,
			rabbitmqctl("eval", "rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})."),
			rabbitmqctl("eval", "rabbit_alarm:clear_alarm({resource_limit, memory, node()}).")),
		onServer(serverBroker, "connections closed by the broker", 0, 0, (*trial).closeConnections, nothing),
	}
	faults = append(faults, receiverFaults()...)
	for _, name := range everyone {
		faults = append(faults, onProcess("kill -9", []string{name}, (*trial).kill))
	}
	for _, b := range boundaries {
		faults = append(faults, onProcess(b.title(), names(b.program), b.kill))
	}
	for _, r := range refusals {
		refused := onServer(serverStore, r.title, time.Second, 15*time.Second, r.begin, (*trial).endRefusal)
		refused.needs = "" // the proxies refuse in the store's place
		faults = append(faults, refused)
	}
	longestStop := map[string]time.Duration{serverStore: 15 * time.Second, serverBroker: 30 * time.Second}
	for _, server := range []string{serverStore, serverBroker} {
		faults = append(faults,
			onServer(server, server+" restart", 0, 0, control("restart", server), nothing),
			onServer(server, server+" stop", time.Second, longestStop[server], control("stop", server), control("start", server)),
			onLink(server, "cut", everyone, 0, 0, func(l *proxy, _ bool) { l.cut() }),
			onLink(server, "refused", everyone, time.Second, 20*time.Second, func(l *proxy, on bool) {
				l.refusing.Store(on)
				l.cut()
			}),
			onLink(server, "delayed", everyone, time.Second, 20*time.Second, func(l *proxy, on bool) { l.slow.Store(on) }),
			onLink(server, "black-holed", everyone, time.Second, 20*time.Second, (*proxy).hold))
	}
	return faults
}

// onProcess is a fault of one of the processes, which starts again at the end.
func onProcess(title string, processes []string, make maker) fault {
	return fault{title: title, processes: processes, most: 2 * time.Second, make: make}
}

func (t *trial) kill(ctx context.Context, f fault) error {
	return t.named(f.process).bounce(ctx, syscall.SIGKILL, f.length)
}

// terminate stops the process as its users do. It may exceed its time only while a
// server is down.
func (t *trial) terminate(ctx context.Context, f fault) error {
	began := time.Now()
	if err := t.named(f.process).bounce(ctx, syscall.SIGTERM, f.length); err != nil {
		t.note("%v", err)
		if !t.disturbed(began.Add(-settleTime), time.Now(), linkName(f.process, serverStore), linkName(f.process, serverBroker), serverStore, serverBroker) {
			t.breaks(stopsWell, "%v, with both servers up", err)
		}
	}
	return nil
}

// kill kills the process as soon as it reaches the boundary.
func (b boundary) kill(t *trial, ctx context.Context, f fault) error {
	link := t.named(f.process).links[b.server]
	trap := link.set(b.step)
	defer func() { link.unset(trap) }()
	for {
		if b.poison {
			if err := t.putPoison(ctx); err != nil {
				return err
			}
		}
		select {
		case held := <-trap.sprung:
			if held.Err() != nil { // another fault was quicker
				trap = link.set(b.step)
				continue
			}
			t.note("%s: held %s", f.process, b.name)
			defer held.end()
			return t.kill(ctx, f)
		case <-time.After(time.Second): // the other notifier may have got the poison
		case <-ctx.Done():
			return fmt.Errorf("never reached: %w", ctx.Err())
		}
	}
}

// onLink is a fault of the link between one of the processes and the server.
func onLink(server, what string, processes []string, least, most time.Duration, disturb func(link *proxy, on bool)) fault {
	return fault{title: server + " link " + what, processes: processes, least: least, most: most,
		make: func(t *trial, ctx context.Context, f fault) error {
			defer t.begin(f.title, linkName(f.process, server))()
			link := t.named(f.process).links[server]
			disturb(link, true)
			defer disturb(link, false)
			harness.Sleep(ctx, f.length)
			return nil
		}}
}

// change changes a server.
type change func(t *trial, ctx context.Context) error

func nothing(*trial, context.Context) error { return nil }

// control runs .ci/services.
func control(args ...string) change {
	return func(t *trial, ctx context.Context) error { return t.servers.control(ctx, args...) }
}

func rabbitmqctl(args ...string) change {
	return control(append([]string{"rabbitmqctl", "--quiet"}, args...)...)
}

func (t *trial) closeConnections(ctx context.Context) error {
	return rabbitmqctl("close_all_connections", "--vhost", t.servers.VHost(), "chaos")(t, ctx)
}

// onServer is a fault of the server, which suffers one at a time. One that has begun
// is also undone.
func onServer(server, title string, least, most time.Duration, do, undo change) fault {
	return fault{title: title, needs: server, least: least, most: most,
		make: func(t *trial, ctx context.Context, f fault) error {
			t.alone[server].Lock()
			defer t.alone[server].Unlock()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			defer t.begin(f.title, server, f.title)()
			whole := context.WithoutCancel(ctx)
			err := do(t, whole)
			harness.Sleep(ctx, f.length)
			return errors.Join(err, undo(t, whole))
		}}
}

// makeAll makes each fault of the plan at its time, until the duration is over.
func (t *trial) makeAll(ctx context.Context, plan []fault) {
	faults, stop := context.WithTimeout(ctx, t.Duration+lastFaults)
	began := time.Now()
	var reporter, making sync.WaitGroup
	reporter.Go(func() {
		for harness.Sleep(faults, 30*time.Second) {
			fmt.Printf("chaos: %v: %d orders placed\n", time.Since(began).Round(time.Second), t.load.numbers.Load())
		}
	})
	for _, f := range plan {
		if !harness.Sleep(faults, time.Until(began.Add(f.at))) {
			break
		}
		making.Go(func() {
			if err := f.make(t, faults, f); err != nil {
				t.note("%s %s: %v", f.title, f.process, err)
				if ctx.Err() == nil {
					t.breaks(faultsMade, "%s %s: %v", f.title, f.process, err)
				}
				return
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			t.made[f.title]++
		})
	}
	making.Wait()
	harness.Sleep(ctx, t.Duration-time.Since(began))
	stop()
	reporter.Wait()
}
