package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Component is a part of a service that runs until its context ends, then
// finishes what it has in hand and returns.
type Component struct {
	Name string
	Run  func(context.Context) error
}

// How the shutdown timeout is shared out: the components have eight tenths, of
// which handlers leave half for handing over what they could not do; store,
// broker and log have a third of the rest each.
func (c *Common) stopTimeout() time.Duration         { return c.ShutdownTimeout * 8 / 10 }
func (c *Common) handlersStopTimeout() time.Duration { return c.ShutdownTimeout * 4 / 10 }
func (c *Common) closeTimeout() time.Duration        { return (c.ShutdownTimeout - c.stopTimeout()) / 3 }

// RunAll runs the components until ctx ends, and for the shutdown delay longer
// unless that was by hand, or until one of them fails or ends. Then it stops
// them one after the other, the last first, within the shutdown timeout
// altogether. Of components that fail, the first one's error is returned: the
// others', which are logged, mostly have the same cause.
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
		if c.ShutdownDelay > 0 && !byHand(ctx) {
			log.Info("unready, and going on for a while", "for", c.ShutdownDelay.String(), "reason", context.Cause(ctx))
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
				log.Warn("another component failed, too", "component", r.Name, "error", err)
			}
		case <-deadline.C:
			return errors.Join(first, fmt.Errorf("%s was not done %v after the signal to stop; what it had in hand is left to the next start", r.Name, timeout))
		}
	}
	log.Info("stopped", "after", time.Since(start).Round(time.Millisecond).String())
	return first
}
