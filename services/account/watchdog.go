package account

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/wiring"
)

const (
	watchInterval = 10 * time.Second

	// stallTime is how long nothing moves where work waits until the watchdog reports it. A
	// handler takes less time.
	stallTime = time.Minute
)

// Watchdog finds where work waits and nothing moves: in the outbox, or in the queue of a
// channel. What a pause holds, or what is tried again later, does not count.
type Watchdog struct {
	// Stalled is called each time that a place has stalled; nil: not called.
	Stalled func(place string)

	office *Office
	log    *slog.Logger

	mu     sync.Mutex
	places map[string]place
}

var _ ports.Pinger = (*Watchdog)(nil)

// place is where work waits.
type place struct {
	moved   int       // how many have ever left it
	lowest  int       // that waited since something moved; fewer means that it moves
	since   time.Time // when it moved last, or when work began to wait
	waiting string    // what waits, for people; empty: nothing
	stalled bool
}

// NewWatchdog returns a watchdog of what the office accounts for. Run runs it.
func NewWatchdog(office *Office, log *slog.Logger) (*Watchdog, error) {
	if err := wiring.Check("watchdog", wiring.Part{Name: "an office", Given: office}); err != nil {
		return nil, err
	}
	return &Watchdog{office: office.local(), log: wiring.Logger(log), places: make(map[string]place)}, nil
}

// Places returns the names of the places that it watches.
func (w *Watchdog) Places() (names []string) {
	if w.office.parts.Orders != nil {
		names = append(names, outbox)
	}
	for _, channel := range w.office.parts.Channels {
		names = append(names, ofChannel(channel.Name))
	}
	return names
}

// Stalls reports for each place whether it is stalled.
func (w *Watchdog) Stalls() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	stalls := make(map[string]bool)
	for _, name := range w.Places() {
		stalls[name] = w.places[name].stalled
	}
	return stalls
}

const outbox = "outbox"

func ofChannel(name string) string { return "channel " + name }

// Run watches until ctx ends, and returns nil. It logs each place once when it stalls, and
// once when something moves again.
func (w *Watchdog) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		w.look(ctx)
		sleep(ctx, watchInterval)
	}
	return nil
}

// Ping returns an error that says what is stalled, or nil.
func (w *Watchdog) Ping(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var stalled []string
	for _, name := range slices.Sorted(maps.Keys(w.places)) {
		if p := w.places[name]; p.stalled {
			stalled = append(stalled, name+": "+p.waiting)
		}
	}
	if len(stalled) > 0 {
		return fmt.Errorf("nothing moves: %s", strings.Join(stalled, "; "))
	}
	return nil
}

// look compares the account with the one before. A part that does not answer is as it was.
func (w *Watchdog) look(ctx context.Context) {
	a := w.office.Draw(ctx)
	if a.Orders != nil {
		n := a.Orders.Waiting.N
		w.note(ctx, outbox, a.Orders.Published, n, fmt.Sprintf("%d events wait to be published", n)+since(a.At, a.Orders.Waiting.Oldest))
	}
	for _, q := range a.Queues {
		moved, known := 0, false
		for _, r := range a.Recipients {
			if r.Channel == q.Channel {
				known = true
				moved += r.Total() // what is tried again or sent from the log is recorded already
			}
		}
		if !known { // the delivery log has not answered
			continue
		}
		n := q.Ready + q.Taken
		w.note(ctx, ofChannel(q.Channel), moved, n, fmt.Sprintf("%d events wait in the queue, which has %d consumers", n, q.Consumers)+since(a.At, q.Oldest))
	}
}

func since(now, oldest time.Time) string {
	if oldest.IsZero() {
		return ""
	}
	return fmt.Sprintf(", the oldest for %v", max(now.Sub(oldest), 0).Round(time.Second))
}

// note remembers the place's state, and reports a change: how many have ever left it, how
// many wait, and that as a text.
func (w *Watchdog) note(ctx context.Context, name string, moved, n int, waiting string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, now := w.places[name], time.Now()
	p := before
	if n == 0 {
		waiting = ""
	}
	if p.waiting = waiting; p.moved != moved || n < p.lowest || before.waiting == "" || waiting == "" {
		p.moved, p.lowest, p.since = moved, n, now
	}
	p.stalled = waiting != "" && now.Sub(p.since) >= stallTime
	w.places[name] = p
	switch {
	case p.stalled && !before.stalled:
		w.log.WarnContext(ctx, "nothing moves, although work waits", "place", name, "waiting", waiting, "for", now.Sub(p.since).Round(time.Second).String())
		if w.Stalled != nil {
			w.Stalled(name)
		}
	case before.stalled && !p.stalled:
		w.log.InfoContext(ctx, "it moves again", "place", name, "after", now.Sub(before.since).Round(time.Second).String())
	}
}
