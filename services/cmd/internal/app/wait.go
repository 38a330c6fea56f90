package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/orderflow/ports"
)

// errInterrupted: a signal came before the service had started.
var errInterrupted = errors.New("interrupted while starting")

// waitFor tries until what it waits for answers, at growing intervals, for
// timeout at most. An error other than [ports.ErrUnavailable] ends it at once.
func waitFor(ctx context.Context, what string, timeout time.Duration, log *slog.Logger, try func(context.Context) error) error {
	start := time.Now()
	waiting := false
	var reason error // the last one that says more than that time was up
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		ctx, cancel := context.WithDeadline(ctx, start.Add(timeout))
		defer cancel()
		err := try(ctx)
		if err != nil && !errors.Is(err, ports.ErrUnavailable) {
			err = backoff.Permanent(err)
		}
		if reason == nil || !errors.Is(err, context.DeadlineExceeded) {
			reason = err
		}
		return struct{}{}, err
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 200 * time.Millisecond, RandomizationFactor: 0.2, Multiplier: 1.5, MaxInterval: 3 * time.Second,
	}), backoff.WithMaxElapsedTime(timeout), backoff.WithNotify(func(err error, _ time.Duration) {
		if !waiting {
			waiting = true
			log.Info("waiting for the "+what, "for_at_most", timeout.String(), "error", err)
		}
	}))
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, ports.ErrUnavailable):
		return fmt.Errorf("the %s did not answer within %v: %w; start it, or name another", what, timeout, reason)
	case err == nil && waiting:
		log.Info("the "+what+" answers", "after", time.Since(start).Round(time.Millisecond).String())
	}
	return err
}
