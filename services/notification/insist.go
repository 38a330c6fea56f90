package notification

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/orderflow/ports"
)

// insistence repeats what a store does not answer, and logs when the store
// goes away and when it is back.
type insistence struct {
	waiting string // what waits for it meanwhile, such as "notifications"
	log     *slog.Logger
	away    atomic.Bool // it did not answer when it was last asked
}

// do asks until the store answers, or ctx ends.
func (i *insistence) do(ctx context.Context, ask func() error) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := ask()
		away := errors.Is(err, ports.ErrUnavailable)
		i.note(ctx, away, err)
		if err != nil && !away {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, RandomizationFactor: 0.3, Multiplier: 2, MaxInterval: 2 * time.Second,
	}))
	return err
}

func (i *insistence) note(ctx context.Context, away bool, err error) {
	if ctx.Err() != nil || i.away.Swap(away) == away {
		return
	}
	if away {
		i.log.WarnContext(ctx, "the store is away; "+i.waiting+" wait for it", "error", err)
	} else {
		i.log.InfoContext(ctx, "the store is back; "+i.waiting+" go on")
	}
}
