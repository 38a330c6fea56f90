package httpapi

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// The answer to a request whose handler does not read the body closes the connection
// unless the whole body arrives within 100 ms.
func TestUnreadBody(t *testing.T) {
	const length = "Content-Length: 1000\r\n"
	for _, tt := range []struct {
		name, header string
		sent         int
		slow, closes bool
	}{
		{"complete body", length, 1000, false, false},
		{"complete body, last request", length + "Connection: close\r\n", 1000, false, true},
		{"part of a body", length, 10, true, true},
		{"part of a body, last request", length + "Connection: close\r\n", 10, true, true},
		{"part of a chunked body", "Transfer-Encoding: chunked\r\n", 10, true, true},
		{"body only after 100 Continue", length + "Expect: 100-continue\r\n", 0, false, true},
		{"no body", "", 0, false, false},
	} {
		for request, status := range map[string]int{"GET /x": 200, "POST /x": 405, "POST /unknown": 404, "POST /order": 415, "POST /a//b": 307} {
			t.Run(tt.name+", "+request, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					handler := NewHandler(Routes{
						"/x": {http.MethodGet: func(w http.ResponseWriter, _ *http.Request) error {
							return WriteJSON(w, http.StatusOK, "x")
						}},
						"/order": {http.MethodPost: func(w http.ResponseWriter, r *http.Request) error {
							return ReadObject(w, r, "an order")
						}},
					}, nil, discard)
					ctx, stop := context.WithCancel(t.Context())
					defer stop()
					listener := newOffered()
					served := make(chan error, 1)
					go func() {
						served <- Server{Handler: handler, Connections: 1, Grace: time.Minute, Log: discard}.Serve(ctx, listener)
					}()
					client := listener.dial()
					began := time.Now()
					sent := make(chan error, 1)
					go func() {
						_, _ = io.WriteString(client, request+" HTTP/1.1\r\nHost: localhost\r\n"+tt.header+"\r\n")
						_, err := client.Write(make([]byte, tt.sent))
						sent <- err
					}()
					response, err := http.ReadResponse(bufio.NewReader(client), nil)
					if err != nil {
						t.Fatal(err)
					}
					response.Body.Close()
					took := time.Since(began)
					if response.StatusCode != status || response.Close != tt.closes || took > 200*time.Millisecond || took > 0 != tt.slow {
						t.Errorf("answered %s after %v, closes: %v", response.Status, took, response.Close)
					}
					if err := <-sent; err != nil {
						t.Errorf("the body is not read: %v", err)
					}
					client.Close()
					stop()
					if err := <-served; err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}
