package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// Only an outcome without an excuse breaks a promise.
func TestJudge(t *testing.T) {
	cut := errors.New("connection reset")
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	tests := []struct {
		name      string
		disturbed string // since the start
		took      time.Duration
		outcome   outcome
		before    int // answers
		breaks    promise
	}{
		{"created", "", time.Second, outcome{status: 201}, 0, ""},
		{"created again", "", time.Second, outcome{status: 201, replayed: true}, 1, ""},
		{"created again, not marked", "", time.Second, outcome{status: 201}, 1, replayIsMarked},
		{"created late", serverStore, 13 * time.Second, outcome{status: 201}, 0, answeredInTime},
		{"another status", serverStore, time.Second, outcome{status: 500}, 0, only201And503},
		{"503 without Retry-After", serverStore, time.Second, outcome{status: 503}, 0, saysWhenAgain},
		{"503 with a word as Retry-After", serverStore, time.Second, outcome{status: 503, retryAfter: "soon"}, 0, saysWhenAgain},
		{"503 with Retry-After 0", serverStore, time.Second, outcome{status: 503, retryAfter: "0"}, 0, saysWhenAgain},
		{"503 without a reason", "", time.Second, outcome{status: 503, retryAfter: "1"}, 0, failsForAReason},
		{"503 with the broker down", serverBroker, time.Second, outcome{status: 503, retryAfter: "1"}, 0, failsForAReason},
		{"503 with the link to the broker cut", "order-1 broker", time.Second, outcome{status: 503, retryAfter: "1"}, 0, failsForAReason},
		{"503 with another process's link to the store cut", "order-2 store", time.Second, outcome{status: 503, retryAfter: "1"}, 0, failsForAReason},
		{"503 with the store down", serverStore, time.Second, outcome{status: 503, retryAfter: "1"}, 0, ""},
		{"503 with the link to the store cut", "order-1 store", time.Second, outcome{status: 503, retryAfter: "1"}, 0, ""},
		{"no answer", "", time.Second, outcome{err: cut}, 0, failsForAReason},
		{"no answer from a dead process", "order-1", time.Second, outcome{err: cut}, 0, ""},
		{"no connection to a dead process", "order-1", time.Second, outcome{err: refused}, 0, ""},
		{"no connection to a living one", "", time.Second, outcome{err: refused}, 0, failsForAReason},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := &load{journal: &journal{log: io.Discard}}
			if tt.disturbed != "" {
				l.journal.begin("test", tt.disturbed)
			}
			r := &request{answers: make([]Order, tt.before)}
			created := l.judge("order-1", r, time.Now(), tt.took, tt.outcome)
			if created != (tt.outcome.status == 201) {
				t.Errorf("created %v", created)
			}
			for _, p := range promises {
				if got := len(l.journal.breaches(p)) > 0; got != (p == tt.breaks) {
					t.Errorf("%s: broken %v, want %q", p, l.journal.breaches(p), tt.breaks)
				}
			}
		})
	}
}

// shop stands in for the order services. It answers every third request with 503.
type shop struct {
	mu     sync.Mutex
	asked  int
	enough func()           // called after 500 requests
	orders map[string]Order // by key, or else by product
	twice  []string         // products without a key that were asked for twice
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var asked Order
	json.NewDecoder(r.Body).Decode(&asked)
	name := cmp.Or(r.Header.Get("Idempotency-Key"), asked.Product)
	if _, again := s.orders[name]; again {
		w.Header().Set("Idempotency-Replayed", "true")
		if name == asked.Product {
			s.twice = append(s.twice, name)
		}
	} else {
		asked.ID = fmt.Sprint(len(s.orders))
		s.orders[name] = asked
	}
	if s.asked++; s.asked == 500 {
		s.enough()
	}
	if s.asked%3 == 0 {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	} else {
		w.WriteHeader(http.StatusCreated)
	}
	json.NewEncoder(w).Encode(s.orders[name])
}

// Clients repeat requests with a key until they are answered, and others never.
func TestLoad(t *testing.T) {
	s := &shop{orders: make(map[string]Order)}
	server := httptest.NewServer(s)
	defer server.Close()
	l := &load{seed: 1, clients: usualClients, rate: 2000, journal: &journal{log: io.Discard}}
	for _, name := range []string{"order-1", "order-2"} {
		l.processes = append(l.processes, &process{Command: harness.Command{Name: name, Addr: server.Listener.Addr().String()}})
	}
	l.journal.begin("unwell", serverStore)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.enough = cancel
	began := time.Now()
	l.run(ctx, patience)

	for _, p := range promises {
		if what := l.journal.breaches(p); len(what) > 0 {
			t.Errorf("%s: %v", p, what)
		}
	}
	keyed, repeated := 0, 0
	for _, r := range l.requests {
		switch {
		case r.key == "":
			if len(r.answers) > 1 {
				t.Errorf("without a key: %+v", r)
			}
		case len(r.answers) == 0:
			t.Errorf("with a key, never answered: %+v", r)
		default:
			keyed++
			repeated += len(r.answers) - 1
		}
	}
	n := len(l.requests)
	if keyed < n/2 || keyed == n || repeated == 0 || l.retries == 0 {
		t.Errorf("%d requests, %d with a key, %d repeated, %d tried again", n, keyed, repeated, l.retries)
	}
	if took := time.Since(began); float64(n-usualClients)/took.Seconds() > float64(l.rate) {
		t.Errorf("%d requests in %v, want %d a second", n, took, l.rate)
	}
	if len(s.twice) > 0 {
		t.Errorf("asked for twice without a key: %q", s.twice)
	}
}
