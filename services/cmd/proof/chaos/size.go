package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// The most that a process at rest may have.
const (
	moreGoroutines  = 20 // than when it was fresh
	moreConnections = 3  // to the broker: each channel's consumer opens one when it has to hand over

	// The driver keeps its pool of 100 connections, and those that monitor the server.
	mostStoreConnections = 104
)

// size is what a process takes.
type size struct {
	memory            float64 // bytes; 0 if unknown
	goroutines        int
	storeConnections  int
	brokerConnections int
}

func (s size) String() string {
	return fmt.Sprintf("%.1f MiB, %d goroutines, %d+%d connections", s.memory/(1<<20), s.goroutines, s.storeConnections, s.brokerConnections)
}

// leaksSince reports whether the process has more than it had, and may have. Each pause
// may have a goroutine that drains it, until a minute after the last that it held.
func (s size) leaksSince(fresh size, pauses int) bool {
	return s.goroutines > fresh.goroutines+moreGoroutines+pauses || s.brokerConnections > fresh.brokerConnections+moreConnections ||
		s.storeConnections > mostStoreConnections
}

func (p *process) size(ctx context.Context) (s size, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	p.mu.Lock()
	l := p.life
	p.mu.Unlock()
	s.memory, _, _ = l.Memory()
	s.storeConnections, s.brokerConnections = p.links[serverStore].connections(), p.links[serverBroker].connections()
	profile, err := l.Profile(ctx, "goroutine?debug=1")
	if err == nil {
		defer profile.Close()
		_, err = fmt.Fscanf(bufio.NewReader(profile), "goroutine profile: total %d", &s.goroutines)
	}
	if err != nil {
		return s, fmt.Errorf("count the goroutines of %s: %w", p.Name, err)
	}
	return s, nil
}

// measureFresh measures the processes before the faults.
func (t *trial) measureFresh(ctx context.Context) (err error) {
	for _, p := range t.processes {
		if p.fresh, err = p.size(ctx); err != nil {
			return err
		}
	}
	return nil
}

// measureRested measures the processes at rest, which may take them a moment.
func (t *trial) measureRested(ctx context.Context) (err error) {
	pauses, err := t.servers.database.Count(ctx, harness.Pauses)
	if err != nil {
		return err
	}
	for _, p := range t.processes {
		rested := await(ctx, 20*time.Second, func() bool {
			p.rested, err = p.size(ctx)
			return err != nil || !p.rested.leaksSince(p.fresh, pauses)
		})
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !rested {
			t.breaks(nothingLeaks, "%s: %v, fresh %v", p.Name, p.rested, p.fresh)
		}
	}
	return nil
}
