package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// timeline knows what was disturbed when, so that what has failed can be told
// from what should not have. A scope is the name of a process, of its link to a
// server ("order-1 store"), or of a server.
type timeline struct {
	log io.Writer

	mu      sync.Mutex
	windows []*window
}

type window struct {
	scope    string
	what     string
	from, to time.Time // to is zero as long as it lasts
}

// begin opens a window, which end closes.
func (t *timeline) begin(scope, what string) (end func()) {
	w := &window{scope: scope, what: what, from: time.Now()}
	t.mu.Lock()
	t.windows = append(t.windows, w)
	t.mu.Unlock()
	t.note("%s: %s", scope, what)
	return sync.OnceFunc(func() {
		t.mu.Lock()
		w.to = time.Now()
		t.mu.Unlock()
		t.note("%s: over: %s", scope, what)
	})
}

// note writes a line for whoever reads what has happened.
func (t *timeline) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.log, "%s  %s\n", time.Now().UTC().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// disturbed reports whether any of the scopes was, at some time between from
// and to.
func (t *timeline) disturbed(from, to time.Time, scopes ...string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.windows, func(w *window) bool {
		return slices.Contains(scopes, w.scope) && !w.from.After(to) && (w.to.IsZero() || !w.to.Before(from))
	})
}

// lasted reports whether one of these befell the scope or went on in it at some
// time between from and to.
func (t *timeline) lasted(from, to time.Time, scope string, what ...string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.windows, func(w *window) bool {
		return w.scope == scope && slices.Contains(what, w.what) && !w.from.After(to) && (w.to.IsZero() || !w.to.Before(from))
	})
}

// began reports whether this befell the scope between from and to.
func (t *timeline) began(from, to time.Time, scope, what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.windows, func(w *window) bool {
		return w.scope == scope && w.what == what && !w.from.Before(from) && !w.from.After(to)
	})
}
