package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/retry"
	"example.com/orderflow/services/internal/statelog"
)

// errInterrupted is returned when a signal ends the start of a service.
var errInterrupted = errors.New("interrupted while starting")

// quietStart is the time during which waitFor logs nothing: most starts take less.
const quietStart = time.Second

// waitFor calls try until try returns nil, for timeout at most. It gives up at once
// after an error that is not [ports.ErrUnavailable]. It also gives up after
// [ports.ErrRefused] twice in a row: a server that shuts down may refuse once.
func waitFor(ctx context.Context, what string, timeout time.Duration, log *slog.Logger, try func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var (
		state    statelog.State
		err      error
		reason   error // the last error other than a timeout, or the timeout of a try that took most of the time
		refusals int   // in a row
		start    = time.Now()
	)
	retry.Until(bounded, 3*time.Second, func() (done bool) {
		began := time.Now()
		err = try(bounded)
		if reason == nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > timeout/2 {
			reason = err
		}
		if refusals++; !errors.Is(err, ports.ErrRefused) {
			refusals = 0
		}
		if !errors.Is(err, ports.ErrUnavailable) || refusals == 2 {
			return true
		}
		if bounded.Err() == nil && time.Since(start) >= quietStart {
			state.Down(ctx, log, "waiting for the "+what, reason, "for_at_most", timeout.String())
		}
		return false
	})
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, ports.ErrUnavailable) && refusals < 2:
		if isAnswer(reason) {
			return fmt.Errorf("the %s could not be used within %v: %w; correct the cause, or name another", what, timeout, reason)
		}
		return fmt.Errorf("the %s did not answer within %v: %w; start it, or name another", what, timeout, reason)
	case err == nil:
		state.Up(ctx, log, "the "+what+" answers")
	}
	return err
}

// isAnswer reports whether the error, by its driver's type, is a server's answer.
func isAnswer(err error) bool {
	var store interface{ ErrorCodes() []int }
	var broker interface{ Recoverable() bool }
	return errors.As(err, &store) || errors.As(err, &broker) || errors.Is(err, ports.ErrRefused)
}
