// Package preflight has the commands that prepare and check what a service needs, before
// it starts.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/services/cmd/internal/app"
)

// Order has the commands before the start of the order service.
type Order struct {
	Check checkOrder `cmd:"" help:"Check what the service needs, before a start: every fault with the way out. It changes nothing."`
	preparing
}

// Notifier has the commands before the start of the notification service.
type Notifier struct {
	Check checkNotifier `cmd:"" help:"Check what the service needs, before a start: every fault with the way out. It changes nothing."`
	preparing
}

// Both has the commands before the start of both services.
type Both struct {
	Check checkBoth `cmd:"" help:"Check what the service needs, before a start: every fault with the way out. It changes nothing."`
	preparing
}

type preparing struct {
	Indexes indexes `cmd:"" help:"Build the store's missing indexes, as a step of its own before a start with --no-auto-index."`
}

type indexes struct{}

// Run builds the indexes, and prints each step.
func (indexes) Run(ctx context.Context, c *app.Common, s app.Streams) error {
	log := slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p := &progress{out: s.Out, done: make(map[mongodb.IndexState]int)}
	again := time.NewTicker(10 * time.Second)
	defer again.Stop()
	built := make(chan error, 1)
	go func() { built <- c.BuildIndexes(ctx, log, p.step) }()
	for {
		select {
		case <-again.C:
			p.stillBuilding()
		case err := <-built:
			switch {
			case errors.Is(err, app.ErrNoIndexes):
				_, err := fmt.Fprintf(s.Out, "%s: nothing to do: the store makes its indexes with its tables\n", app.Redact(app.Shown(c.Store)))
				return err
			case err != nil && ctx.Err() != nil:
				return errors.New("interrupted; the server may finish the index that it was building. Run the command again, and it goes on where it stopped")
			case err != nil:
				return err
			}
			_, err = fmt.Fprintf(s.Out, "%d indexes were built, %d existed, %d were dropped\n",
				p.done[mongodb.IndexBuilt], p.done[mongodb.IndexExists], p.done[mongodb.IndexDropped])
			return err
		}
	}
}

// progress prints the steps of a build.
type progress struct {
	out io.Writer

	mu       sync.Mutex
	done     map[mongodb.IndexState]int
	building string // an index; empty: none
	since    time.Time
}

func (p *progress) step(step mongodb.IndexProgress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[step.State]++
	p.building, p.since = "", time.Now()
	switch step.State {
	case mongodb.IndexBuilding:
		p.building = step.Index
		fmt.Fprintf(p.out, "%s: building\n", step.Index)
	case mongodb.IndexBuilt:
		fmt.Fprintf(p.out, "%s: built in %v\n", step.Index, step.After.Round(time.Millisecond))
	default:
		fmt.Fprintf(p.out, "%s: %s\n", step.Index, step.State)
	}
}

func (p *progress) stillBuilding() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.building != "" {
		fmt.Fprintf(p.out, "%s: still building, for %v\n", p.building, time.Since(p.since).Round(time.Second))
	}
}
