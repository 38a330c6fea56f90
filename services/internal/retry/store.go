package retry

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/internal/statelog"
)

// Store repeats calls of a store during its outages, and logs the outages.
type Store struct {
	Waiting string // for the log: the work that waits, such as "notifications"
	Log     *slog.Logger

	state statelog.State
	calls atomic.Int64 // under way
}

// UntilAvailable repeats the call until it succeeds, it fails for a reason of its
// own, or ctx ends. It returns the last error. [ports.ErrExists],
// [ports.ErrClaimed] and permanent errors are the call's own; all others are outages.
func (s *Store) UntilAvailable(ctx context.Context, call func() error) (err error) {
	s.calls.Add(1)
	defer s.calls.Add(-1)
	Until(ctx, 2*time.Second, func() (done bool) {
		err = call()
		outage := err != nil && !ports.IsPermanent(err) && !errors.Is(err, ports.ErrExists) && !errors.Is(err, ports.ErrClaimed)
		switch {
		case ctx.Err() != nil: // err may be the context's, so the store's state is unknown
		case outage:
			s.state.Down(ctx, s.Log, "the store is unavailable; "+s.Waiting+" wait for it", mask.Error(err), "waiting", s.calls.Load())
		default:
			s.state.Up(ctx, s.Log, "the store is available again; "+s.Waiting+" go on")
		}
		return !outage
	})
	return err
}
