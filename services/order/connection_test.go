package order_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/internal/httpapi"
)

// pipes is a listener whose connections are pipes, for tests in virtual time.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newPipes() *pipes {
	return &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.accepted <- server
	return client
}

// serve serves the handler on the listener until the test ends.
func serve(t *testing.T, h http.Handler, listener net.Listener) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- httpapi.Server{Handler: h, Grace: time.Minute, Log: discard}.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

func postHeader(length int) string {
	return fmt.Sprintf("POST /order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length)
}

// readResponse reads an answer, and leaves the connection open.
func readResponse(t *testing.T, conn net.Conn) (response *http.Response, body string) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(data)
}

// A body that is not complete within 10 s is refused with 408, even if its bytes keep
// arriving. A slow body does not reduce the time for the store.
func TestSlowBody(t *testing.T) {
	const chunked = "POST /order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
	tests := []struct {
		name   string
		header string
		send   func(net.Conn) // after the header
		store  time.Duration  // the time that the store takes
		status int
		code   string
		after  time.Duration
	}{
		{"stalls", postHeader(len(laptop)), func(c net.Conn) { io.WriteString(c, laptop[:9]) }, 0, 408, "timeout", 10 * time.Second},
		{"never begins", postHeader(len(laptop)), func(net.Conn) {}, 0, 408, "timeout", 10 * time.Second},
		{"trickles", postHeader(len(laptop)), func(c net.Conn) { trickle(c, laptop, time.Second) }, 0, 408, "timeout", 10 * time.Second},
		{"trickles in chunks", chunked, func(c net.Conn) { trickle(c, strings.Repeat("1\r\n \r\n", 100), time.Second) }, 0, 408, "timeout", 10 * time.Second},
		{"never sent after Expect", strings.Replace(postHeader(len(laptop)), "Host:", "Expect: 100-continue\r\nHost:", 1), func(net.Conn) {}, 0, 408, "timeout", 10 * time.Second},
		{"body and store in time", postHeader(len(laptop)), func(c net.Conn) { trickle(c, laptop, 9*time.Second/time.Duration(len(laptop))) }, 9 * time.Second, 201, "", 18 * time.Second},
		{"body in time, store too slow", postHeader(len(laptop)), func(c net.Conn) { trickle(c, laptop, 9*time.Second/time.Duration(len(laptop))) }, time.Hour, 503, "unavailable", 19 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				orders := mocks.NewMockOrderRepository(gomock.NewController(t))
				orders.EXPECT().Add(gomock.Any(), gomock.Any(), gomock.Any()).DoAndReturn(func(ctx context.Context, _ domain.Order, _ domain.Origin) error {
					select {
					case <-time.After(tt.store):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}).AnyTimes()
				listener := newPipes()
				serve(t, newAPI(orders, new(memory.Orders)), listener)
				conn := listener.dial()
				defer conn.Close()
				if _, err := io.WriteString(conn, tt.header); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() { tt.send(conn) })
				var response *http.Response
				var body string
				for response == nil || response.StatusCode == http.StatusContinue {
					response, body = readResponse(t, conn)
				}
				took := time.Since(began).Round(time.Second)
				conn.Close()
				sending.Wait()
				if response.StatusCode != tt.status || took != tt.after || !strings.Contains(body, `"code":"`+tt.code) && tt.code != "" {
					t.Errorf("answered %s after %v: %s; want %d after %v", response.Status, took, body, tt.status, tt.after)
				}
				if response.Close != (tt.status == 408) {
					t.Errorf("the connection is closed: %v", response.Close)
				}
			})
		})
	}
}

func trickle(c net.Conn, text string, pause time.Duration) {
	for _, b := range []byte(text) {
		time.Sleep(pause)
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
	}
}

// A truncated order is not placed.
func TestTruncatedBody(t *testing.T) {
	orders := new(memory.Orders)
	server := httptest.NewServer(newAPI(orders, orders))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, postHeader(len(laptop)+1)+laptop)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if response, body := readResponse(t, conn); response.StatusCode != 400 || !strings.Contains(body, `"code":"malformed"`) {
		t.Errorf("answered %s %s, want 400", response.Status, body)
	}
	if page, err := orders.List(t.Context(), ports.OrderQuery{}); err != nil || len(page.Orders) > 0 {
		t.Errorf("stored %v, %v", page, err)
	}
}

// A request that was read is carried out even if the client closes its sending side
// or the whole connection. A client that still reads gets the answer.
func TestClientDisconnects(t *testing.T) {
	disconnects := map[string]func(*net.TCPConn) error{"sending side": (*net.TCPConn).CloseWrite, "all": (*net.TCPConn).Close}
	requests := map[string]struct {
		request string
		status  int
	}{
		"POST": {postHeader(len(laptop)) + laptop, 201},
		"GET":  {"GET /orders HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
	}
	for how, disconnect := range disconnects {
		for method, tt := range requests {
			t.Run(method+" "+how, func(t *testing.T) {
				store := new(memory.Orders)
				noticed, done := make(chan struct{}), make(chan error, 1)
				orders := mocks.NewMockOrderRepository(gomock.NewController(t))
				orders.EXPECT().Add(gomock.Any(), gomock.Any(), gomock.Any()).DoAndReturn(func(ctx context.Context, order domain.Order, origin domain.Origin) error {
					<-noticed
					err := store.Add(ctx, order, origin)
					done <- err
					return err
				}).AnyTimes()
				orders.EXPECT().List(gomock.Any(), gomock.Any()).DoAndReturn(func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
					<-noticed
					page, err := store.List(ctx, query)
					done <- err
					return page, err
				}).AnyTimes()
				api := newAPI(orders, store)
				began := make(chan struct{})
				listener, err := net.Listen("tcp", "localhost:0")
				if err != nil {
					t.Fatal(err)
				}
				serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					context.AfterFunc(r.Context(), func() { close(noticed) }) // as net/http does
					close(began)
					api.ServeHTTP(w, r)
				}), listener)
				conn, err := net.Dial("tcp", listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, tt.request); err != nil {
					t.Fatal(err)
				}
				<-began
				if err := disconnect(conn.(*net.TCPConn)); err != nil {
					t.Fatal(err)
				}
				if err := <-done; err != nil {
					t.Errorf("not carried out: %v", err)
				}
				if how == "all" {
					return
				}
				if response, body := readResponse(t, conn); response.StatusCode != tt.status {
					t.Errorf("answered %s %s, want %d", response.Status, body, tt.status)
				}
			})
		}
	}
}

// A service that stops answers as before. Each answer closes its connection, also an
// answer to an earlier request.
func TestAnswersWhileStopping(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	orders := mocks.NewMockOrderRepository(gomock.NewController(t))
	orders.EXPECT().Add(gomock.Any(), gomock.Any(), gomock.Any()).DoAndReturn(func(context.Context, domain.Order, domain.Origin) error {
		close(began)
		<-finish
		return nil
	})
	orders.EXPECT().List(gomock.Any(), gomock.Any()).Return(ports.OrderPage{}, nil).Times(2)
	h := newAPI(orders, new(memory.Orders))
	if response := send(h, "GET", "/orders", "", ""); response.StatusCode != 200 || response.Header.Get("Connection") != "" {
		t.Errorf("before: %s, Connection %q", response.Status, response.Header.Get("Connection"))
	}
	placing := make(chan *http.Response, 1)
	go func() { placing <- send(h, "POST", "/order", "application/json", laptop) }()
	<-began
	h.Stop()
	close(finish)
	answers := map[string]*http.Response{"an order that was being placed": <-placing}
	for target := range map[string]int{"/orders": 200, "/livez": 200, "/readyz": 503, "/nowhere": 404, "//orders": 307} {
		answers[target] = send(h, "GET", target, "", "")
	}
	want := map[string]int{"an order that was being placed": 201, "/orders": 200, "/livez": 200, "/readyz": 503, "/nowhere": 404, "//orders": 307}
	for what, response := range answers {
		if response.StatusCode != want[what] || response.Header.Get("Connection") != "close" {
			t.Errorf("%s: %s, Connection %q; want %d, close", what, response.Status, response.Header.Get("Connection"), want[what])
		}
	}
}
