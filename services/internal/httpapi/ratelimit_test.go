package httpapi

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// ask sends a request through the limiter, from the address with the name.
func ask(l *Limiter, log *slog.Logger, address, name string) *httptest.ResponseRecorder {
	h := NewHandler(Routes{"/x": {http.MethodGet: func(w http.ResponseWriter, r *http.Request) error {
		return l.Limit(w, r, name, log, func(w http.ResponseWriter, _ *http.Request) error { return WriteJSON(w, http.StatusOK, "x") })
	}}}, nil, log)
	r := httptest.NewRequest("GET", "/x", nil)
	r.RemoteAddr = address
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A client sends the whole number at once, then waits for each. The answers say so.
func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := NewLimiter(3, time.Minute)
		check := func(status int, fields, retryAfter string) {
			t.Helper()
			w := ask(l, slog.New(slog.NewTextHandler(&log, nil)), "192.0.2.1:1", "")
			h := w.Header()
			if w.Code != status || h.Get("RateLimit") != fields || h.Get("RateLimit-Policy") != `"default";q=3;w=60` || h.Get("Retry-After") != retryAfter {
				t.Errorf("answered %d %v, want %d, %s, Retry-After %q", w.Code, h, status, fields, retryAfter)
			}
			if status == http.StatusTooManyRequests && !strings.Contains(w.Body.String(), `"code":"rate_limited"`) {
				t.Errorf("answered %s", w.Body)
			}
		}
		check(200, `"default";r=2;t=20`, "")
		check(200, `"default";r=1;t=40`, "")
		check(200, `"default";r=0;t=60`, "")
		check(429, `"default";r=0;t=60`, "20")
		time.Sleep(10 * time.Second)
		check(429, `"default";r=0;t=50`, "10")
		time.Sleep(10 * time.Second)
		check(200, `"default";r=0;t=60`, "")
		check(429, `"default";r=0;t=60`, "20")
		time.Sleep(3 * time.Minute)
		check(200, `"default";r=2;t=20`, "")
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "level=WARN") {
			t.Errorf("logged %d lines, want one:\n%s", n, log.String())
		}
	})
}

func TestClientsOfLimiter(t *testing.T) {
	for _, tt := range []struct {
		name          string
		first, second string // address, and the client's name after a space
		same          bool
	}{
		{"ports of an address", "192.0.2.1:1", "192.0.2.1:2", true},
		{"addresses", "192.0.2.1:1", "192.0.2.2:1", false},
		{"an address, mapped", "192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		{"addresses of a /64", "[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff::2]:1", true},
		{"addresses of two /64", "[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", false},
		{"zones", "[fe80::1%eth0]:1", "[fe80::2%eth1]:1", true},
		{"names", "192.0.2.1:1 Bearer a", "192.0.2.1:1 Bearer b", false},
		{"a name from anywhere", "192.0.2.1:1 Bearer a", "192.0.2.2:1 Bearer a", true},
		{"with and without a name", "192.0.2.1:1 Bearer a", "192.0.2.1:1", false},
		{"no addresses", "@", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := NewLimiter(1, time.Hour)
			send := func(from string) int {
				address, name, _ := strings.Cut(from, " ")
				return ask(l, discardLog, address, name).Code
			}
			if first, second := send(tt.first), send(tt.second); first != 200 || (second == 429) != tt.same {
				t.Errorf("answered %d and %d, want the same client: %v", first, second, tt.same)
			}
			if kept := fmt.Sprint(l.current, l.earlier); strings.Contains(kept, "Bearer") {
				t.Errorf("keeps the name: %s", kept)
			}
		})
	}
}

// However many clients come, the limiter keeps two generations. One that keeps asking is
// never forgotten.
func TestLimiterInBoundedMemory(t *testing.T) {
	l := NewLimiter(1, time.Hour)
	now := time.Now()
	persistent := client{named: true}
	l.take(persistent, now)
	for i := range 5 * maxClients {
		l.take(client{id: [16]byte{byte(i), byte(i >> 8), byte(i >> 16)}}, now)
		if len(l.current)+len(l.earlier) > 2*maxClients {
			t.Fatalf("keeps %d clients", len(l.current)+len(l.earlier))
		}
		if i%1000 == 0 {
			if allowed, _, _, _ := l.take(persistent, now); allowed {
				t.Fatalf("after %d others the client has a new request", i)
			}
		}
	}
	l.take(persistent, now.Add(2*time.Hour))
	if n := len(l.current) + len(l.earlier); n != 1 {
		t.Errorf("keeps %d clients after two quiet periods, want 1", n)
	}
}

var discardLog = slog.New(slog.DiscardHandler)

func BenchmarkLimiter(b *testing.B) {
	l := NewLimiter(1_000_000, time.Second)
	c := client{}
	for b.Loop() {
		l.take(c, time.Now())
	}
}
