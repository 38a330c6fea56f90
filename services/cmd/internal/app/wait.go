package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/statelog"
)

// errInterrupted: a signal came before the service had started.
var errInterrupted = errors.New("interrupted while starting")

// quietly is how long waitFor waits before it says so: most starts take less.
const quietly = time.Second

// waitFor tries until what it waits for can be used, at growing intervals, for
// timeout at most. An error other than [ports.ErrUnavailable] ends it at once,
// and so does [ports.ErrRefused] twice in a row: a server that is going down can
// look the same once.
func waitFor(ctx context.Context, what string, timeout time.Duration, log *slog.Logger, try func(context.Context) error) error {
	w := wait{start: time.Now()}
	var state statelog.State
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		ctx, cancel := context.WithDeadline(ctx, w.start.Add(timeout))
		defer cancel()
		return struct{}{}, w.judge(try(ctx))
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 200 * time.Millisecond, RandomizationFactor: 0.2, Multiplier: 1.5, MaxInterval: 3 * time.Second,
	}), backoff.WithMaxElapsedTime(timeout), backoff.WithNotify(func(error, time.Duration) {
		if time.Since(w.start) < quietly {
			return
		}
		state.Down(ctx, log, "waiting for the "+what, w.reason, "for_at_most", timeout.String())
	}))
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, ports.ErrUnavailable) && w.refusals < 2:
		if answered(w.reason) {
			return fmt.Errorf("the %s could not be used within %v: %w; mend that, or name another", what, timeout, w.reason)
		}
		return fmt.Errorf("the %s did not answer within %v: %w; start it, or name another", what, timeout, w.reason)
	case err == nil:
		state.Up(ctx, log, "the "+what+" answers")
	}
	return err
}

// wait is what waitFor knows of the tries so far.
type wait struct {
	start    time.Time
	reason   error // the last one that says more than that time was up
	refusals int   // in a row
}

// judge returns the error, marked if no further try helps.
func (w *wait) judge(err error) error {
	if w.reason == nil || !errors.Is(err, context.DeadlineExceeded) {
		w.reason = err
	}
	if !errors.Is(err, ports.ErrRefused) {
		w.refusals = 0
	} else if w.refusals++; w.refusals == 2 {
		return backoff.Permanent(err)
	}
	if err != nil && !errors.Is(err, ports.ErrUnavailable) {
		return backoff.Permanent(err)
	}
	return err
}

// answered reports whether the error is the server's own word, as the drivers'
// types have it.
func answered(err error) bool {
	var store interface{ ErrorCodes() []int }
	var broker interface{ Recoverable() bool }
	return errors.As(err, &store) || errors.As(err, &broker) || errors.Is(err, ports.ErrRefused)
}
