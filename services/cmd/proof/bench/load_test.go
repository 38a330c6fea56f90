package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/orderflow/domain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// orderServer answers as the services do.
func orderServer(t *testing.T, orders *atomic.Int64) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handleOrder(w, r, func(_ context.Context, order wayOrder, _ []byte) error {
			if order.Product != "Laptop" || !strings.HasPrefix(order.UserID, "client-") || order.Quantity != 1 {
				return fmt.Errorf("placed %+v", order)
			}
			orders.Add(1)
			return nil
		})
	}))
	t.Cleanup(server.Close)
	return server
}

func TestLoad(t *testing.T) {
	for _, tt := range []struct {
		name        string
		rate        float64
		least, most int
	}{
		{"closed loop", 0, 8, 1_000_000},
		{"open loop", 200, 40, 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var first, second atomic.Int64
			all, took, err := load{
				addresses: []string{orderServer(t, &first).Listener.Addr().String(), orderServer(t, &second).Listener.Addr().String()},
				clients:   8, rate: tt.rate, duration: 200 * time.Millisecond,
				request: postOrder, status: http.StatusCreated,
			}.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			placed := int(first.Load() + second.Load())
			if len(all) != placed || placed < tt.least || placed > tt.most {
				t.Errorf("%d answered, %d placed, want %d to %d", len(all), placed, tt.least, tt.most)
			}
			if first.Load() == 0 || second.Load() == 0 {
				t.Errorf("%d and %d orders placed, want some at each server", first.Load(), second.Load())
			}
			ids := make(map[orderID]bool)
			for _, a := range all {
				if _, err := domain.ParseOrderID(string(a.order[:])); err != nil || a.took <= 0 {
					t.Fatalf("%s took %v: %v", a.order[:], a.took, err)
				}
				ids[a.order] = true
			}
			if len(ids) != len(all) {
				t.Errorf("%d ids of %d answers", len(ids), len(all))
			}
			if took < 190*time.Millisecond {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A wrong answer ends the load, because it must not count.
func TestLoadWrongAnswer(t *testing.T) {
	created := "HTTP/1.1 201 Created\r\nContent-Length: 45\r\n\r\n" + `{"id":"0199c3a0-0000-7000-8000-000000000000"}`
	for _, tt := range []struct{ name, answer, want string }{
		{"refused", "HTTP/1.1 503 \r\nContent-Length: 8\r\n\r\ntoo busy", "answered 503, want 201: too busy"},
		{"in chunks", "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntoo\r\n5\r\n busy\r\n0\r\n\r\n", "want 201: too busy"},
		{"no order", "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}", `no id in "{}"`},
		{"one answer", created, "load by 1 clients: "},
		{"without a length", "HTTP/1.1 201 Created\r\n\r\nhello", `no id in "hello"`},
		{"length in words", "HTTP/1.1 201 Created\r\nContent-Length: five\r\n\r\nhello", "Content-Length"},
		{"body cut off", created[:len(created)-1], "unexpected EOF"},
		{"header cut off", "HTTP/1.1 201 Created\r\nContent-Le", "read an answer: "},
		{"no answer", "", "EOF"},
		{"other protocol", "SSH-2.0-x\r\n", "malformed HTTP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			answered := make(chan error, 1)
			go func() {
				connection, err := server.Accept()
				if err == nil {
					defer connection.Close()
					_, err = http.ReadRequest(bufio.NewReader(connection))
				}
				if err == nil {
					_, err = io.WriteString(connection, tt.answer)
				}
				answered <- err
			}()
			_, _, err = load{
				addresses: []string{server.Addr().String()}, clients: 1, duration: time.Minute,
				request: postOrder, status: http.StatusCreated,
			}.run(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if err := <-answered; err != nil {
				t.Error(err)
			}
		})
	}
}

// Requests are due at even intervals from the start, however late a client is.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		p := pace{began: began, end: began.Add(time.Second), rate: 4}
		late := []time.Duration{0, 300 * time.Millisecond, 0, time.Hour}
		for i, by := range late {
			due, ok := p.next(ctx)
			if want := began.Add(time.Duration(i) * 250 * time.Millisecond); !ok || !due.Equal(want) {
				t.Errorf("request %d: due at %v, %v; want %v", i, due.Sub(began), ok, want.Sub(began))
			}
			if time.Now().Before(due) {
				t.Errorf("request %d: early", i)
			}
			time.Sleep(by)
		}
		if due, ok := p.next(ctx); ok {
			t.Errorf("another is due after %v", due.Sub(began))
		}
		cancel()
		p.end = began.Add(24 * time.Hour)
		p.sent.Store(5 * 3600) // due in some minutes
		if due, ok := p.next(ctx); ok {
			t.Errorf("another is due after %v, though its client has gone", due.Sub(began))
		}
	})
}
