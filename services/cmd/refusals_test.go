package cmd_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The answers to long requests are short.
func TestRefusalsAreShort(t *testing.T) {
	orders := freeAddress(t)
	start(t, "orderflow", "--order-addr="+orders, "--notification-addr=localhost:0", "--log-level=warn")
	awaitReady(t, orders)
	long := strings.Repeat("x", 30_000)
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"path", "GET /" + long + " HTTP/1.1\r\n", 404},
		{"path to be redirected", "GET //" + long + " HTTP/1.1\r\n", 404},
		{"id", "GET /orders/" + long + " HTTP/1.1\r\n", 422},
		{"method", long + " /orders HTTP/1.1\r\n", 405},
		{"key", "POST /order HTTP/1.1\r\nIdempotency-Key: " + long + "\r\n", 400},
		{"key and body", "POST /order HTTP/1.1\r\nContent-Type: " + long + "\r\n", 415},
		{"request id", "GET /orders HTTP/1.1\r\nX-Request-ID: " + long + "\r\n", 200},
		{"parameter", "GET /orders?" + long + "=1 HTTP/1.1\r\n", 422},
		{"value", "GET /orders?limit=" + long + " HTTP/1.1\r\n", 422},
		{"cursor", "GET /orders?cursor=" + long + " HTTP/1.1\r\n", 422},
		{"user", "GET /orders?user_id=" + long + " HTTP/1.1\r\n", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			response := exchange(t, orders, tt.request+"Host: localhost\r\nConnection: close\r\n\r\n")
			if response.status != tt.status || response.size > 4<<10 {
				t.Errorf("answered %d in %d bytes, want %d in 4 KiB at most", response.status, response.size, tt.status)
			}
		})
	}
}

type rawAnswer struct {
	status, size int
	closes       bool // the connection
	header       http.Header
	body         string
}

// exchange sends the request on a new connection and reads the answer.
func exchange(t *testing.T, address, request string) rawAnswer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return exchangeOn(t, conn, request)
}

func exchangeOn(t *testing.T, conn net.Conn, request string) rawAnswer {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, conn)
}

func readAnswer(t *testing.T, conn net.Conn) rawAnswer {
	t.Helper()
	counted := &countingReader{from: conn}
	response, err := http.ReadResponse(bufio.NewReader(counted), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rawAnswer{response.StatusCode, counted.n, response.Close, response.Header, string(body)}
}

type countingReader struct {
	from io.Reader
	n    int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += n
	return n, err
}

// When idle connections reach the limit of open files, /readyz is answered at once,
// other requests after an idle connection is closed. The log has one line about it.
func TestConnectionsFillOpenFiles(t *testing.T) {
	for _, limit := range []int{64, 256} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			t.Parallel()
			orders := freeAddress(t)
			shell := []string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, limit), filepath.Join(binaries, "orderflow")}
			p := startBinary(t, "/bin", "sh", append(shell, "--store=memory:", "--broker=memory:", "--order-addr="+orders, "--notification-addr=localhost:0", "--admin-addr=localhost:0")...)
			awaitReady(t, orders)
			const alive = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
			var last rawAnswer
			for i := 0; !last.closes; i++ { // until only spare connections are left
				conn, err := net.Dial("tcp", orders)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if last = exchangeOn(t, conn, alive); last.status != http.StatusOK || i > limit {
					t.Fatalf("connection %d: answered %d", i, last.status)
				}
			}
			for range limit { // connections without a request
				conn, err := net.Dial("tcp", orders)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			eventually(t, func() error {
				response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}).Get("http://" + orders + "/readyz")
				if err != nil {
					return err
				}
				defer response.Body.Close()
				if response.StatusCode != http.StatusOK {
					return fmt.Errorf("/readyz: %s", response.Status)
				}
				return nil
			})
			eventually(t, func() error { // after an idle connection is closed
				answer := exchange(t, orders, "GET /orders HTTP/1.1\r\nHost: localhost\r\n\r\n")
				if answer.status == http.StatusServiceUnavailable && (!answer.closes || answer.header.Get("Retry-After") == "" || !strings.Contains(answer.body, `"code":"overloaded"`)) {
					t.Errorf("beyond the bound: %+v", answer)
				}
				if answer.status != http.StatusOK {
					return fmt.Errorf("/orders answers %d", answer.status)
				}
				return nil
			})
			p.stopWell(t, syscall.SIGTERM)
			if n := strings.Count(p.out.String(), "too many connections"); n != 1 || strings.Contains(p.out.String(), "too many open files") {
				t.Errorf("%d lines about too many connections, want 1, and none about open files:\n%s", n, p.out.String())
			}
		})
	}
}
