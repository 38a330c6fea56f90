package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/services/internal/httpapi"
)

// pipes is a listener of connections in memory.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// watch serves a stream with an event a minute on a server with short bounds, in a bubble of
// synctest. The handler's end comes on ended, with the error of its last event.
func watch(t *testing.T) (client net.Conn, ended <-chan error, stop func() error) {
	t.Helper()
	result := make(chan error, 1)
	handler := httpapi.NewHandler(httpapi.Routes{"/events": {http.MethodGet: func(w http.ResponseWriter, r *http.Request) error {
		stream, ctx, cancel := httpapi.BeginEvents(w, r)
		defer cancel()
		for n := 0; ; n++ {
			if err := stream.Send(fmt.Appendf(nil, "data: %d\n\n", n)); err != nil {
				result <- err
				return nil
			}
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
				result <- nil
				return nil
			}
		}
	}}}, nil, discard)
	ctx, cancel := context.WithCancel(t.Context())
	listener := &pipes{make(chan net.Conn), make(chan struct{})}
	served := make(chan error, 1)
	go func() {
		served <- httpapi.Server{Handler: handler, RequestTimeout: time.Second, Connections: 8, Interrupt: true, Grace: time.Minute, Log: discard}.Serve(ctx, listener)
	}()
	client, server := net.Pipe()
	listener.accept <- server
	if _, err := client.Write([]byte("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	stop = func() error { cancel(); return <-served }
	t.Cleanup(func() { client.Close(); cancel() })
	return client, result, stop
}

// A stream lasts although the server bounds answers, and ends when the server stops.
func TestEventsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ended, stop := watch(t)
		lines := bufio.NewScanner(client)
		for last := 0; last < 60; { // an hour
			if !lines.Scan() {
				t.Fatalf("the stream has ended at event %d: %v", last, lines.Err())
			}
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if text != fmt.Sprint(last) {
					t.Fatalf("event %s, want %d", text, last)
				}
				last++
			}
		}
		drained := make(chan struct{})
		go func() {
			for lines.Scan() {
			}
			close(drained)
		}()
		began := time.Now()
		if err := stop(); err != nil || time.Since(began) > time.Second {
			t.Errorf("the stop took %v: %v", time.Since(began), err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the handler ended with %v", err)
		}
		client.Close()
		<-drained
	})
}

// A stream ends at once when its client leaves.
func TestEventsEndWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ended, stop := watch(t)
		lines := bufio.NewScanner(client)
		for lines.Scan() && lines.Text() != "data: 0" {
		}
		began := time.Now()
		client.Close()
		if err := <-ended; time.Since(began) > 0 {
			t.Errorf("it took %v: %v", time.Since(began), err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A client that receives nothing is given up.
func TestEventsToAClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ended, stop := watch(t)
		began := time.Now()
		if err := <-ended; err == nil || time.Since(began) != 10*time.Second {
			t.Errorf("after %v: %v, want an error after 10 s", time.Since(began), err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestFile(t *testing.T) {
	file := httpapi.NewFile("text/css", []byte("body {}"))
	get := func(tag string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x.css", nil)
		r.Header.Set("If-None-Match", tag)
		file.Write(w, r)
		return w
	}
	w := get("")
	tag := w.Header().Get("ETag")
	if w.Code != 200 || w.Body.String() != "body {}" || w.Header().Get("Content-Type") != "text/css" || w.Header().Get("Cache-Control") != "no-cache" || tag == "" {
		t.Errorf("answered %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := get(tag); w.Code != 304 || w.Body.Len() > 0 || w.Header().Get("ETag") != tag {
		t.Errorf("with its tag: answered %d %v %s", w.Code, w.Header(), w.Body)
	}
}
