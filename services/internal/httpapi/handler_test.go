package httpapi_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"example.com/orderflow/services/internal/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

// The log has the details of a failure; the answer does not.
func TestHandlerFailures(t *testing.T) {
	var log bytes.Buffer
	h := httpapi.NewHandler(httpapi.Routes{
		"/panic": {http.MethodGet: func(http.ResponseWriter, *http.Request) error { panic("secret") }},
		"/error": {http.MethodGet: func(http.ResponseWriter, *http.Request) error { return errors.New("secret") }},
	}, nil, slog.New(slog.NewTextHandler(&log, nil)))
	for _, path := range []string{"/panic", "/error"} {
		log.Reset()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: answered %d %s", path, w.Code, w.Body)
		}
		id := w.Header().Get("X-Request-ID")
		if id == "" || !strings.Contains(w.Body.String(), id) || !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "secret") {
			t.Errorf("%s: request id %q, answer %s, log %s", path, id, w.Body, log.String())
		}
	}
}

func TestErrAbortHandlerPassesThrough(t *testing.T) {
	h := httpapi.NewHandler(httpapi.Routes{
		"/x": {http.MethodGet: func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }},
	}, nil, discard)
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("panicked with %v", p)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
}

func TestReadyWithoutPinger(t *testing.T) {
	h := httpapi.NewHandler(nil, httpapi.NewHealth(httpapi.Check{Name: "store"}), discard)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != http.StatusOK {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}

// A handler inside another one uses the same request id.
func TestRequestIDOfNestedHandlers(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	h := httpapi.ForOperators(httpapi.NewHandler(httpapi.Routes{"/x": {http.MethodGet: func(http.ResponseWriter, *http.Request) error {
		panic("x")
	}}}, nil, log), log)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	if id := w.Header().Get("X-Request-ID"); id == "" || strings.Count(out.String(), id) != 1 || !strings.Contains(w.Body.String(), id) {
		t.Errorf("id %q, answer %s, log %s", id, w.Body, out.String())
	}
}

// An id in a path, or in an error, may be an address.
func TestFailuresAreLoggedWithoutAddresses(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("get contact of ann.lee@example.com: broken") },
		"panic": func() error { panic("x") },
	} {
		var out bytes.Buffer
		h := httpapi.NewHandler(httpapi.Routes{"/contacts/{id}": {http.MethodGet: func(http.ResponseWriter, *http.Request) error { return fail() }}},
			nil, slog.New(slog.NewTextHandler(&out, nil)))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/contacts/ann.lee@example.com", nil))
		if log := out.String(); w.Code != http.StatusInternalServerError || strings.Contains(log, "ann.lee") || !strings.Contains(log, "…@example.com") {
			t.Errorf("%s: answered %d, logged:\n%s", name, w.Code, log)
		}
	}
}

// A path that is not clean is redirected to its clean form, which is escaped once.
func TestRedirectToCleanPath(t *testing.T) {
	h := httpapi.NewHandler(nil, nil, discard)
	for target, want := range map[string]string{
		"/a//%c2%9b%1b":      "/a/%c2%9b%1b",
		"/a/../b%2Fc/?x=%1b": "/b%2Fc/?x=%1b",
		"//a.example/b":      "/a.example/b",
		"/a/./":              "/a/",
		"//":                 "/",
		"/a//é":              "/a/%C3%A9",
		"/a/%c2%9b/":         "",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+target, nil))
		status := 307
		if want == "" {
			status = 404
		}
		if got := w.Header().Get("Location"); got != want || w.Code != status {
			t.Errorf("%s: %d to %q, want %d to %q", target, w.Code, got, status, want)
		}
	}
}
