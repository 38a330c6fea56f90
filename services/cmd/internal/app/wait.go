package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"github.com/cenkalti/backoff/v5"

	"example.com/orderflow/ports"
)

// errInterrupted: a signal came before the service had started.
var errInterrupted = errors.New("interrupted while starting")

// waitFor tries until what it waits for can be used, at growing intervals, for
// timeout at most. An error other than [ports.ErrUnavailable] ends it at once,
// and so does [ports.ErrRefused] twice in a row: a server that is going down can
// look the same once.
func waitFor(ctx context.Context, what string, timeout time.Duration, log *slog.Logger, try func(context.Context) error) error {
	w := wait{what: what, timeout: timeout, start: time.Now(), log: log}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		ctx, cancel := context.WithDeadline(ctx, w.start.Add(timeout))
		defer cancel()
		return struct{}{}, w.judge(try(ctx))
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 200 * time.Millisecond, RandomizationFactor: 0.2, Multiplier: 1.5, MaxInterval: 3 * time.Second,
	}), backoff.WithMaxElapsedTime(timeout), backoff.WithNotify(func(error, time.Duration) { w.say() }))
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, ports.ErrUnavailable) && w.refusals < 2:
		if answered(w.reason) {
			return fmt.Errorf("the %s could not be used within %v: %w; mend that, or name another", what, timeout, w.reason)
		}
		return fmt.Errorf("the %s did not answer within %v: %w; start it, or name another", what, timeout, w.reason)
	case err == nil && !w.said.IsZero():
		log.Info("the "+what+" answers", "after", time.Since(w.start).Round(time.Millisecond).String())
	}
	return err
}

// wait is what waitFor knows of the tries so far.
type wait struct {
	what     string
	timeout  time.Duration
	start    time.Time
	log      *slog.Logger
	reason   error // the last one that says more than that time was up
	refusals int   // in a row

	said       time.Time // when the reason was logged; zero: not yet
	saidReason string
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

// sayAgainAfter is how often a reason that stays the same is logged.
const sayAgainAfter = time.Minute

// say logs what is waited for: at first, when the reason changes, and now and
// then.
func (w *wait) say() {
	reason := withoutNumbers(w.reason)
	switch {
	case w.said.IsZero():
		w.log.Info("waiting for the "+w.what, "for_at_most", w.timeout.String(), "error", w.reason)
	case reason != w.saidReason || time.Since(w.said) >= sayAgainAfter:
		w.log.Info("still waiting for the "+w.what, "for", time.Since(w.start).Round(time.Second).String(),
			"for_at_most", w.timeout.String(), "error", w.reason)
	default:
		return
	}
	w.said, w.saidReason = time.Now(), reason
}

// withoutNumbers returns the error's text without digits: ports and counts
// change from try to try, and are no other reason.
func withoutNumbers(err error) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, err.Error())
}

// answered reports whether the error is the server's own word, as the drivers'
// types have it.
func answered(err error) bool {
	var store interface{ ErrorCodes() []int }
	var broker interface{ Recoverable() bool }
	return errors.As(err, &store) || errors.As(err, &broker) || errors.Is(err, ports.ErrRefused)
}
