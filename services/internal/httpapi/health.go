package httpapi

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/ports"
)

const (
	livePath  = "/livez"
	readyPath = "/readyz"
)

// pingTimeout bounds the checks of one readiness answer.
const pingTimeout = 2 * time.Second

// Check is something that a service depends on.
type Check struct {
	Name   string
	Pinger ports.Pinger // nil: no check

	// Optional checks are reported, but do not make the service unready: it works
	// without them for a while.
	Optional bool

	// Degrades makes the service degraded while an optional check fails. It is still ready.
	Degrades bool
}

// Health answers /readyz.
type Health struct {
	checks   []Check
	stopping atomic.Bool // set by [API.Stop]
}

// NewHealth returns the health of a service that depends on the checks.
func NewHealth(checks ...Check) *Health {
	return &Health{checks: slices.DeleteFunc(checks, func(c Check) bool { return c.Pinger == nil })}
}

func (h *Health) isStopping() bool { return h != nil && h.stopping.Load() }

// routes returns the health checks; a nil Health has none.
func (h *Health) routes() Routes {
	if h == nil {
		return nil
	}
	return Routes{livePath: {http.MethodGet: live}, readyPath: {http.MethodGet: h.ready}}
}

// live answers 200 to /livez, while the process can answer at all.
func live(w http.ResponseWriter, _ *http.Request) error {
	return WriteJSON(w, http.StatusOK, map[string]string{"status": "alive"})
}

// ready answers 200 if the service can work, otherwise 503, with each check's state. It is
// degraded while it works but needs a person.
func (h *Health) ready(w http.ResponseWriter, r *http.Request) error {
	answer := struct {
		Status string            `json:"status"`
		Checks map[string]string `json:"checks"`
	}{"ready", make(map[string]string)}
	status := http.StatusOK

	for i, err := range h.ping(r.Context()) {
		check := h.checks[i]
		answer.Checks[check.Name] = "up"
		if err != nil {
			answer.Checks[check.Name] = "down"
			switch {
			case !check.Optional:
				status, answer.Status = http.StatusServiceUnavailable, "unready"
			case check.Degrades && status == http.StatusOK:
				answer.Status = "degraded"
			}
		}
	}
	if h.isStopping() {
		status, answer.Status = http.StatusServiceUnavailable, "stopping"
	}
	return WriteJSON(w, status, answer)
}

// ping runs all checks at once and returns the error of each.
func (h *Health) ping(ctx context.Context) []error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	errs := make([]error, len(h.checks))
	var wg sync.WaitGroup
	for i, check := range h.checks {
		wg.Go(func() { errs[i] = check.Pinger.Ping(ctx) })
	}
	wg.Wait()
	return errs
}
