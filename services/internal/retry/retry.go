// Package retry repeats a call with exponential backoff.
package retry

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Until calls try until it reports that it is done or ctx ends, at least once.
// The pauses between the calls double from 50 ms to longest, each 30 % shorter
// or longer at random.
func Until(ctx context.Context, longest time.Duration, try func() (done bool)) {
	pauses := &backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, Multiplier: 2, MaxInterval: longest, RandomizationFactor: 0.3,
	}
	notDone := errors.New("not done")
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		if try() {
			return struct{}{}, nil
		}
		return struct{}{}, notDone
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0))
}
