package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/orderflow/services/internal/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What goes wrong inside is told to the log, not to the caller.
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

func TestAbortedHandlerStaysAborted(t *testing.T) {
	h := httpapi.NewHandler(httpapi.Routes{
		"/x": {http.MethodGet: func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }},
	}, nil, slog.New(slog.DiscardHandler))
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("panicked with %v", p)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
}

func TestReadyWithoutPinger(t *testing.T) {
	health := httpapi.NewHealth(httpapi.Check{Name: "store"})
	w := httptest.NewRecorder()
	if err := health.Ready(w, httptest.NewRequest("GET", "/readyz", nil)); err != nil || w.Code != http.StatusOK {
		t.Errorf("got %v, %d", err, w.Code)
	}
}

// At a stop, the request in hand is answered and no other is taken; one that
// takes too long is cut off, and that is an error.
func TestServe(t *testing.T) {
	for _, tt := range []struct {
		name  string
		grace time.Duration
		fails bool
	}{{"finishes", time.Minute, false}, {"too slow", time.Millisecond, true}} {
		t.Run(tt.name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "localhost:0")
			if err != nil {
				t.Fatal(err)
			}
			url := "http://" + listener.Addr().String()
			began, finish := make(chan struct{}), make(chan struct{})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			served := make(chan error, 1)
			go func() {
				served <- httpapi.Server{
					Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						close(began)
						select {
						case <-finish:
						case <-r.Context().Done():
						}
						_, _ = io.WriteString(w, "done")
					}),
					RequestTimeout: time.Minute, Grace: tt.grace, Log: slog.New(slog.DiscardHandler),
				}.Serve(ctx, listener)
			}()
			client := &http.Client{Transport: new(http.Transport), Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			answered := make(chan string, 1)
			go func() {
				response, err := client.Get(url)
				if err != nil {
					answered <- "cut off"
					return
				}
				defer response.Body.Close()
				body, _ := io.ReadAll(response.Body)
				answered <- string(body)
			}()
			<-began
			stop()
			want := "cut off"
			if !tt.fails {
				for { // until the listener is closed
					c, err := net.Dial("tcp", listener.Addr().String())
					if err != nil {
						break
					}
					c.Close()
				}
				close(finish)
				want = "done"
			}
			if got := <-answered; got != want {
				t.Errorf("answered %q, want %q", got, want)
			}
			if err := <-served; (err != nil) != tt.fails {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}
