package retry

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/statelog"
)

// Store repeats calls of a store until its outage is over, and logs the outage.
type Store struct {
	Waiting string // what waits for the store meanwhile, such as "notifications"
	Log     *slog.Logger

	state statelog.State
	calls atomic.Int64 // under way
}

// UntilAvailable calls the store until ctx ends or the error is nil or the call's own
// fault: permanent, [ports.ErrExists] or [ports.ErrClaimed]. Any other error is
// an outage. It returns the last error.
func (s *Store) UntilAvailable(ctx context.Context, call func() error) (err error) {
	s.calls.Add(1)
	defer s.calls.Add(-1)
	Until(ctx, 2*time.Second, func() (done bool) {
		err = call()
		outage := err != nil && !ports.IsPermanent(err) && !errors.Is(err, ports.ErrExists) && !errors.Is(err, ports.ErrClaimed)
		switch {
		case ctx.Err() != nil: // the error may be the context's, and say nothing about the store
		case outage:
			s.state.Down(ctx, s.Log, "the store is unavailable; "+s.Waiting+" wait for it", err, "waiting", s.calls.Load())
		default:
			s.state.Up(ctx, s.Log, "the store is available again; "+s.Waiting+" go on")
		}
		return !outage
	})
	return err
}
