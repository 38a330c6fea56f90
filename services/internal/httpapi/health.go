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

// pingTimeout bounds what a readiness answer waits for.
const pingTimeout = 2 * time.Second

// Check is one thing behind readiness.
type Check struct {
	Name   string
	Pinger ports.Pinger // nil: there is nothing that could be down

	// Optional: the service does its work without it, for a while, so that its
	// absence is said but does not make the service unready.
	Optional bool
}

// Health answers liveness and readiness.
type Health struct {
	checks   []Check
	stopping atomic.Bool
}

// NewHealth returns the health of a service that stands on the checks.
func NewHealth(checks ...Check) *Health {
	return &Health{checks: slices.DeleteFunc(checks, func(c Check) bool { return c.Pinger == nil })}
}

// Stop makes the service unready for good. It goes on answering, and each answer
// is the last of its connection.
func (h *Health) Stop() { h.stopping.Store(true) }

func (h *Health) isStopping() bool { return h != nil && h.stopping.Load() }

// Live answers 200 as long as the process can answer at all.
func (h *Health) Live(w http.ResponseWriter, _ *http.Request) error {
	return WriteJSON(w, http.StatusOK, map[string]string{"status": "alive"})
}

// Ready answers 200 if the service can do its work, 503 otherwise, and says
// what is up and what is down.
func (h *Health) Ready(w http.ResponseWriter, r *http.Request) error {
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
			if !check.Optional {
				status, answer.Status = http.StatusServiceUnavailable, "unready"
			}
		}
	}
	if h.stopping.Load() {
		status, answer.Status = http.StatusServiceUnavailable, "stopping"
	}
	return WriteJSON(w, status, answer)
}

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
