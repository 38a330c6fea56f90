package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var discard = slog.New(slog.DiscardHandler)

func free() int {
	memory.mu.Lock()
	defer memory.mu.Unlock()
	return memory.free
}

// takeAll reserves the whole budget until the test ends or release is called.
func takeAll(t *testing.T) (release func()) {
	t.Helper()
	n := free()
	if !memory.take(n) {
		t.Fatal("the budget is in use")
	}
	released := false
	release = func() {
		if !released {
			released = true
			memory.release(n)
		}
	}
	t.Cleanup(release)
	return release
}

var budgetRoutes = Routes{
	"/small": {http.MethodPost: func(w http.ResponseWriter, _ *http.Request) error {
		return WriteJSON(w, http.StatusCreated, strings.Repeat("x", small-3))
	}},
	"/large": {http.MethodGet: func(w http.ResponseWriter, _ *http.Request) error {
		return WriteJSON(w, http.StatusOK, strings.Repeat("x", 100<<10))
	}},
	"/refused": {http.MethodGet: func(_ http.ResponseWriter, r *http.Request) error {
		var f faults
		for i := range 1000 {
			f.add(strings.Repeat("\U00100000", 100)+strconv.Itoa(i), strings.Repeat("界", 1000))
		}
		return f.err()
	}},
	"/page": {http.MethodGet: func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := Begin(r, time.Minute)
		defer cancel()
		if err := ReservePage(ctx, w, 100); err != nil {
			return err
		}
		return WritePage(w, r, make([]int, 100), "", 0, func(n int) int { return n })
	}},
	"/body": {http.MethodPost: func(w http.ResponseWriter, r *http.Request) error {
		if err := ReadObject(w, r, "a text", Field{Name: "a", To: new(string)}); err != nil {
			return err
		}
		return WriteJSON(w, http.StatusCreated, "done")
	}},
}

// Without free memory, small requests and answers are processed and large ones
// refused. The end of a request releases all that it has reserved.
func TestWithoutMemory(t *testing.T) {
	h := NewHandler(budgetRoutes, NewHealth(), discard)
	body := func(n int) string { return `{"a":"` + strings.Repeat("x", n-len(`{"a":""}`)) + `"}` }
	tests := []struct {
		name, method, target, body, header string
		status, without                    int // with and without free memory
	}{
		{"small answer", "POST", "/small", "", "", 201, 201},
		{"large answer", "GET", "/large", "", "", 200, 503},
		{"many faults", "GET", "/refused", "", "", 422, 503},
		{"page", "GET", "/page", "", "", 200, 503},
		{"small body", "POST", "/body", body(small - 1), "", 201, 201},
		{"body of 4 KiB", "POST", "/body", body(small), "", 201, 503}, // more may follow
		{"large body", "POST", "/body", body(small + 1), "", 201, 503},
		{"body above the limit", "POST", "/body", body(maxBody + 1), "", 413, 413},
		{"large header", "POST", "/small", "", strings.Repeat("x", small), 201, 503},
		{"health check", "GET", "/livez", "", "", 200, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ask := func() *http.Response {
				before := free()
				r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("X", tt.header)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if after := free(); after != before {
					t.Errorf("%d bytes are free after the request, %d before", after, before)
				}
				return w.Result()
			}
			synctest.Test(t, func(t *testing.T) { // a page waits for memory, in virtual time
				release := takeAll(t)
				response := ask()
				answer, _ := io.ReadAll(response.Body)
				if response.StatusCode != tt.without || len(answer) > small {
					t.Errorf("without memory: %s in %d bytes, want %d", response.Status, len(answer), tt.without)
				}
				if tt.without == 503 && (response.Header.Get("Retry-After") == "" || !strings.Contains(string(answer), `"code":"overloaded"`)) {
					t.Errorf("refused with %v %s", response.Header, answer)
				}
				release()
				if response := ask(); response.StatusCode != tt.status {
					t.Errorf("with memory: %s, want %d", response.Status, tt.status)
				}
			})
		})
	}
}

// A page waits for memory that another request releases.
func TestPageWaitsForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHandler(budgetRoutes, nil, discard)
		time.AfterFunc(pageTimeout/2, takeAll(t))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/page", nil))
		if w.Code != http.StatusOK {
			t.Errorf("answered %d", w.Code)
		}
	})
}

// While an answer is written, it holds memory for its own bytes only, not for the
// items it was made from.
func TestHeldWhileWriting(t *testing.T) {
	h := NewHandler(budgetRoutes, nil, discard)
	before := free()
	for target, want := range map[string]int{"/page": 0, "/large": 100<<10 + 3} {
		var held int
		h.ServeHTTP(&observedAnswer{httptest.NewRecorder(), func() { held = before - free() }}, httptest.NewRequest("GET", target, nil))
		if held != want {
			t.Errorf("%s holds %d bytes, want %d", target, held, want)
		}
	}
}

// observedAnswer calls onWrite before each write.
type observedAnswer struct {
	http.ResponseWriter
	onWrite func()
}

func (a *observedAnswer) Write(p []byte) (int, error) {
	a.onWrite()
	return a.ResponseWriter.Write(p)
}

// A connection ends after a request with a long first line, because net/http keeps
// the line as long as the connection.
func TestLongFirstLine(t *testing.T) {
	h := NewHandler(budgetRoutes, nil, discard)
	for n, want := range map[int]string{small - len("GET/?"): "", small - len("GET/?") + 1: "close"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/?"+strings.Repeat("x", n), nil))
		if got := w.Header().Get("Connection"); got != want {
			t.Errorf("%d bytes: Connection %q, want %q", n, got, want)
		}
	}
}

func TestBudgetWaitEndsWithContext(t *testing.T) {
	b := newBudget(10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if b.wait(ctx, 11) || !b.wait(ctx, 10) || b.take(1) {
		t.Error("wait reserved more bytes than are free, or did not reserve free ones")
	}
}
