package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Component is a part of a service. Run returns after its context has ended and
// the work under way is finished.
type Component struct {
	Name string
	Run  func(context.Context) error

	left func(context.Context) []any // what waits after all have stopped, for the log; nil: nothing
}

// The shutdown timeout is divided: 80 % for the components, the rest in equal parts
// for closing store, broker, telemetry and log. A consumer waits for its handlers for half of the
// components' time, and uses the other half for the events that they have left.
func (c *Common) stopTimeout() time.Duration  { return c.ShutdownTimeout * 8 / 10 }
func (c *Common) closeTimeout() time.Duration { return (c.ShutdownTimeout - c.stopTimeout()) / 4 }

// HandlersStopTimeout returns how long handlers may take after the stop.
func (c *Common) HandlersStopTimeout() time.Duration { return c.ShutdownTimeout * 4 / 10 }

// RunAll runs the components until ctx ends or one of them returns. After a
// signal other than ^C they keep running for the shutdown delay. Then RunAll
// stops them one by one, the last one first, within the shutdown timeout. It
// returns the first error, and logs the others: most have the same cause.
func (c *Common) RunAll(ctx context.Context, log *slog.Logger, components ...Component) error {
	timeout := c.stopTimeout()
	type running struct {
		Component
		stop context.CancelFunc
		done chan error
	}
	ended := make(chan error, len(components))
	all := make([]running, len(components))
	for i, c := range components {
		ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		all[i] = running{c, stop, make(chan error, 1)}
		go func() {
			err := c.Run(ctx)
			all[i].done <- err
			ended <- err
		}()
	}
	var first error
	select {
	case <-ctx.Done():
		if c.ShutdownDelay > 0 && !endedByInterrupt(ctx) {
			log.Info("shutting down: not ready any more, but still serving", "for", c.ShutdownDelay.String(), "reason", context.Cause(ctx))
			select {
			case <-time.After(c.ShutdownDelay):
			case first = <-ended:
			}
		}
		log.Info("stopping", "for_at_most", c.ShutdownTimeout.String())
	case first = <-ended:
	}

	start := time.Now()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for _, r := range slices.Backward(all) {
		r.stop()
		select {
		case err := <-r.done:
			switch {
			case err == nil || errors.Is(err, first):
			case first == nil:
				first = err
			default:
				log.Warn("another component failed", "component", r.Name, "error", err)
			}
		case <-deadline.C:
			return errors.Join(first, fmt.Errorf("%s did not stop within %v; the next start takes up its unfinished work", r.Name, timeout))
		}
	}
	after := time.Since(start)
	log.Info("stopped", append([]any{"after", after.Round(time.Millisecond).String()}, c.leaves(components)...)...)
	return first
}
