package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// The times of disturbances at random.
const (
	longestLife = 2 * time.Second        // from one disturbance to the next
	longestStop = 3 * time.Second        // by SIGSTOP
	longestDead = 500 * time.Millisecond // half of the killed processes start again at once
	youngest    = 60 * time.Millisecond  // in which a process has made the file
)

// births is the number of kills while the file is made.
const births = 10

// killAtBirth kills the processes while they make the file, and starts them again.
func (t *fileTrial) killAtBirth(ctx context.Context) error {
	r := rand.New(rand.NewPCG(t.Seed, 3))
	for range births {
		harness.Sleep(ctx, rand64(r, youngest))
		for _, p := range t.processes {
			t.made["kill -9 while it makes the file, "+p.Name]++
			if err := p.bounce(ctx, syscall.SIGKILL, 0); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

// disturbAtRandom kills, ends and stops the processes, one after the other.
func (t *fileTrial) disturbAtRandom(ctx context.Context, d time.Duration) error {
	r := rand.New(rand.NewPCG(t.Seed, 1))
	for end := time.Now().Add(d); time.Now().Before(end); {
		if !harness.Sleep(ctx, rand64(r, longestLife)) {
			return context.Cause(ctx)
		}
		p := t.processes[r.IntN(len(t.processes))]
		var err error
		switch what := r.IntN(10); {
		case what == 0:
			t.made["SIGSTOP, "+p.Name]++
			err = p.freeze(ctx, rand64(r, longestStop))
		case what == 1:
			t.made["SIGTERM, "+p.Name]++
			err = p.bounce(ctx, syscall.SIGTERM, 0)
			if err != nil {
				t.breaks(stopsWell, "%v", err)
				err = nil
			}
		default:
			t.made["kill -9, "+p.Name]++
			var dead time.Duration
			if what%2 == 0 {
				dead = rand64(r, longestDead)
			}
			err = p.bounce(ctx, syscall.SIGKILL, dead)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func rand64(r *rand.Rand, below time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(below)))
}

// freeze stops the process, and lets it go on after the time.
func (p *process) freeze(ctx context.Context, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.journal.begin(fmt.Sprint("SIGSTOP for ", d), p.Name)()
	if err := p.life.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	harness.Sleep(ctx, d)
	return errors.Join(p.life.Signal(syscall.SIGCONT), context.Cause(ctx))
}
