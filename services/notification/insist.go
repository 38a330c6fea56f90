package notification

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/statelog"
)

// insistence repeats what a store does not do, and logs while it is down.
type insistence struct {
	waiting string // what waits for it meanwhile, such as "notifications"
	log     *slog.Logger
	store   statelog.State
	held    atomic.Int64 // how many wait now
}

// do asks until the store answers, or ctx ends: then it returns what the store
// said last.
func (i *insistence) do(ctx context.Context, ask func() error) (err error) {
	i.held.Add(1)
	defer i.held.Add(-1)
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		err = ask()
		outage := isOutage(err)
		switch {
		case ctx.Err() != nil: // the time was up, whatever the store would have said
		case outage:
			i.store.Down(ctx, i.log, "the store is away; "+i.waiting+" wait for it", err, "waiting", i.held.Load())
		default:
			i.store.Up(ctx, i.log, "the store is back; "+i.waiting+" go on")
		}
		if outage {
			return struct{}{}, err
		}
		return struct{}{}, nil
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, RandomizationFactor: 0.3, Multiplier: 2, MaxInterval: 2 * time.Second,
	}))
	return err
}

// isOutage reports whether a store's error says nothing of what it was asked
// about: then it is the store's, whatever its cause, and waiting may help.
func isOutage(err error) bool {
	return err != nil && !ports.IsPermanent(err) && !errors.Is(err, ports.ErrExists) && !errors.Is(err, ports.ErrClaimed)
}
