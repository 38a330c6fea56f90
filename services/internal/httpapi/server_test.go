package httpapi_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/services/internal/httpapi"
)

func TestServeWithoutHandler(t *testing.T) {
	if err := (httpapi.Server{}).Serve(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "a handler") {
		t.Errorf("got %v", err)
	}
}

// start serves on a free port until stop is called or the test ends.
func start(t *testing.T, server httpapi.Server) (address string, stop func(), served <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	result := make(chan error, 1)
	go func() { result <- server.Serve(ctx, listener) }()
	return listener.Addr().String(), stop, result
}

// During a stop, Serve answers running requests and accepts no others. It cuts off
// a request that takes longer than the grace, and returns an error.
func TestServe(t *testing.T) {
	for _, tt := range []struct {
		name  string
		grace time.Duration
		fails bool
	}{{"finishes", time.Minute, false}, {"too slow", time.Millisecond, true}} {
		t.Run(tt.name, func(t *testing.T) {
			began, finish := make(chan struct{}), make(chan struct{})
			address, stop, served := start(t, httpapi.Server{
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					close(began)
					select {
					case <-finish:
					case <-r.Context().Done():
					}
					_, _ = io.WriteString(w, "done")
				}),
				RequestTimeout: time.Minute, Grace: tt.grace, Log: discard,
			})
			client := &http.Client{Transport: new(http.Transport), Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			answered := make(chan string, 1)
			go func() {
				response, err := client.Get("http://" + address)
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
					c, err := net.Dial("tcp", address)
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
