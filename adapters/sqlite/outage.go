package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"example.com/orderflow/ports"
)

// outage logs when the file can't be used: when that begins, when the reason changes,
// each minute, and when it ends.
type outage struct {
	logger *slog.Logger
	what   string // what does not happen meanwhile

	mu     sync.Mutex
	reason string // empty: no outage
	since  time.Time
	logged time.Time
}

func (o *outage) begin(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if o.reason == "" {
		o.since = now
	}
	if reason := err.Error(); reason != o.reason || now.Sub(o.logged) >= time.Minute {
		o.reason, o.logged = reason, now
		o.logger.Error("the file can't be used; "+o.what, "since", o.since.UTC().Format(time.RFC3339), "error", err)
	}
}

func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reason != "" {
		o.reason = ""
		o.logger.Info("the file can be used again", "after", time.Since(o.since).Round(time.Millisecond).String())
	}
}

// The pauses between two tries of a write that has to succeed.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 2 * time.Second
)

// persist repeats the write until it succeeds. It gives up when ctx ends, or when the
// error is not about the file, and returns the last error. It commits f once, even if a
// commit's answer came too late.
func (s *Store) persist(ctx context.Context, o *outage, d durability, f func(*tx) error) error {
	committed := false // only the gatherer's goroutine uses it
	once := func(tx *tx) error {
		if committed {
			return nil
		}
		err := f(tx)
		if err == nil {
			tx.after = append(tx.after, func() { committed = true })
		}
		return err
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := s.write(ctx, d, once)
		if err == nil {
			o.end()
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, ports.ErrUnavailable) || errors.Is(err, errClosed) {
			return err
		}
		o.begin(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}
