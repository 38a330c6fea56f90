package httpapi_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/requestid"
)

// A request's context ends when its server stops: at once with Interrupt, otherwise
// after the grace.
func TestContextEndsWithServer(t *testing.T) {
	for _, tt := range []struct {
		name      string
		interrupt bool
		grace     time.Duration
		fails     bool
	}{{"interrupted", true, time.Minute, false}, {"after the grace", false, time.Millisecond, true}} {
		t.Run(tt.name, func(t *testing.T) {
			began, ended := make(chan struct{}), make(chan error, 1)
			handler := httpapi.NewHandler(httpapi.Routes{"/x": {http.MethodGet: func(_ http.ResponseWriter, r *http.Request) error {
				ctx, cancel := httpapi.Begin(r, time.Hour)
				defer cancel()
				close(began)
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return ctx.Err()
			}}}, nil, discard)
			address, stop, served := start(t, httpapi.Server{Handler: handler, Grace: tt.grace, Interrupt: tt.interrupt, Log: discard})
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			<-began
			stop()
			if err := <-ended; err != context.Canceled {
				t.Errorf("the context ended with %v", err)
			}
			if err := <-served; (err != nil) != tt.fails {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

// A handler's context has the values of the request's context, but does not end with
// it.
func TestContextOfARequest(t *testing.T) {
	type key struct{}
	var got context.Context
	h := httpapi.NewHandler(httpapi.Routes{"/x": {http.MethodGet: func(_ http.ResponseWriter, r *http.Request) error {
		got = r.Context()
		return nil
	}}}, nil, discard)
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/x", nil)
	r.Header.Set("X-Request-ID", "abc")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if got.Err() != nil || got.Value(key{}) != "value" || requestid.FromContext(got) != "abc" {
		t.Errorf("%v, value %v, id %q", got.Err(), got.Value(key{}), requestid.FromContext(got))
	}
}
