package bearer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"example.com/orderflow/services/internal/statelog"
)

const (
	// retryInterval is how long after a failure the keys are loaded again.
	retryInterval = 5 * time.Second

	// Unknown keys cause a load each missInterval, and missBurst of them after a quiet time:
	// anybody can name a key that does not exist.
	missInterval = 10 * time.Second
	missBurst    = 3
)

// Keys are the keys of a JWKS. They are loaded again at intervals and, within bounds, when a
// token names one that is not known. While that fails, the known keys stay.
type Keys struct {
	place    string // for the log
	load     func(context.Context) ([]byte, error)
	interval time.Duration
	log      *slog.Logger
	state    statelog.State
	misses   *rate.Limiter
	wanted   chan struct{}

	current atomic.Pointer[keySet]

	mu      sync.Mutex
	loaded  []byte        // what current was parsed from
	err     error         // of the latest load; nil: it has succeeded
	pending chan struct{} // closed when the load that is wanted or under way has ended; nil: none is
}

// errNotLoaded is the error of keys whose first load has not ended.
var errNotLoaded = errors.New("they have not been loaded yet")

func newKeys(place string, interval time.Duration, load func(context.Context) ([]byte, error), log *slog.Logger) *Keys {
	return &Keys{
		place: place, load: load, interval: interval, log: log, err: errNotLoaded,
		misses: rate.NewLimiter(rate.Every(missInterval), missBurst), wanted: make(chan struct{}, 1),
	}
}

// Run keeps the keys up to date until ctx ends.
func (k *Keys) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := k.interval
		if k.update(ctx) != nil {
			wait = min(wait, retryInterval)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-k.wanted:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// update loads the keys once, and logs what has changed.
func (k *Keys) update(ctx context.Context) error {
	k.mu.Lock()
	if k.pending == nil {
		k.pending = make(chan struct{})
	}
	k.mu.Unlock()

	document, err := k.load(ctx)
	set := k.current.Load()
	if err == nil && (set == nil || !bytes.Equal(document, k.loaded)) { // only update changes loaded
		if set, err = parseKeys(document); err == nil {
			k.current.Store(set)
			k.log.InfoContext(ctx, "the keys for tokens were loaded", "from", k.place, "found", set.String())
		}
	}
	if ctx.Err() == nil && err != nil {
		k.state.Down(ctx, k.log, "the keys for tokens can't be loaded; those that are known stay", err, "from", k.place)
	} else if err == nil {
		k.state.Up(ctx, k.log, "the keys for tokens can be loaded again", "from", k.place)
	}

	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err = err; err == nil {
		k.loaded = document
	}
	close(k.pending)
	k.pending = nil
	return err
}

// reload waits until the keys were loaded again, unless that has been done too often. An
// error is returned when they can't be loaded.
func (k *Keys) reload(ctx context.Context) error {
	k.mu.Lock()
	if k.pending == nil {
		if !k.misses.Allow() {
			defer k.mu.Unlock()
			return k.err
		}
		k.pending = make(chan struct{})
		select {
		case k.wanted <- struct{}{}:
		default: // Run has not taken an earlier one yet
		}
	}
	pending := k.pending
	k.mu.Unlock()
	select {
	case <-pending:
		return k.lastError()
	case <-ctx.Done():
		return errors.New("loading them takes too long")
	}
}

func (k *Keys) lastError() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// Known returns an error while no key is known, so that every token is refused.
func (k *Keys) Known(context.Context) error {
	if k.current.Load() == nil {
		return k.lastError()
	}
	return nil
}

// Current returns an error while the keys can't be loaded, so that a new one stays unknown.
func (k *Keys) Current(context.Context) error { return k.lastError() }
