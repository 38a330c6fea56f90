// Package retry repeats a call with exponential backoff.
package retry

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Until calls try, once at least, until try returns true or ctx ends. The pauses
// between the calls double from 50 ms to maxPause. Each is up to 30 % shorter or
// longer, at random.
func Until(ctx context.Context, maxPause time.Duration, try func() (done bool)) {
	pauses := &backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, Multiplier: 2, MaxInterval: maxPause, RandomizationFactor: 0.3,
	}
	notDone := errors.New("not done")
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		if try() {
			return struct{}{}, nil
		}
		return struct{}{}, notDone
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0))
}
