package cmd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Clients that send invalid requests, ask for large pages, and read no answer
// make the process take 192 MiB at most. Meanwhile, it takes orders.
func TestRefusalsInBoundedMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a process takes is read from /proc")
	}
	const (
		most    = 192 << 10 // KiB
		clients = 50
		rounds  = 12
		pause   = 800 * time.Millisecond
	)
	orders := freeAddress(t)
	p := startBinary(t, buildPlain(t, "allinone"), "allinone", "--order-addr="+orders, "--notification-addr=localhost:0", "--admin-addr=localhost:0", "--log-level=warn")
	awaitReady(t, orders)
	large := fmt.Sprintf(`{"user_id":%q,"product":%q,"quantity":1}`, strings.Repeat("界", 128), strings.Repeat("界", 256))
	for range 100 {
		if status, err := fetch("POST", "http://"+orders+"/order", large, nil); err != nil || status != http.StatusCreated {
			t.Fatal(status, err)
		}
	}

	var query strings.Builder
	for i := range 6900 {
		fmt.Fprintf(&query, "%x&", i)
	}
	fields := "{" + strings.Repeat(`"x":1,`, 10_000) + `"y":1}`
	requests := []string{
		"GET /orders?" + query.String() + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(fields)) + "\r\n\r\n" + fields,
		strings.Repeat("GET /orders?limit=100 HTTP/1.1\r\nHost: localhost\r\n\r\n", 100),
		"GET /" + strings.Repeat("/x", 15_000) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	placed := 0
	all.Go(func() { // a normal client
		for ctx.Err() == nil {
			status, err := fetch("POST", "http://"+orders+"/order", laptop, nil)
			if err != nil || status != http.StatusCreated {
				t.Errorf("a normal order: status %d, %v", status, err)
				return
			}
			placed++
			time.Sleep(10 * time.Millisecond) // the orders take memory, too
		}
	})
	for range rounds {
		for _, request := range requests {
			for range clients {
				all.Go(func() { sendAndReadNothing(ctx, orders, request) })
			}
		}
		time.Sleep(pause) // keeps the rate the same on every machine
	}
	peak := peakMemory(t, p)
	stop()
	all.Wait()
	if peak > most {
		t.Errorf("the process took %d MiB, want %d at most", peak>>10, most>>10)
	}
	if placed == 0 {
		t.Error("no order was taken")
	}
	t.Logf("took %d MiB at most, and %d orders", peak>>10, placed)
}

// Many connections with a header of almost 4 KB each, finished or not, make the
// process take 192 MiB at most.
func TestHeadersInBoundedMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a process takes is read from /proc")
	}
	const (
		most    = 192 << 10 // KiB
		clients = 3000
	)
	const alive = "GET /livez HTTP/1.1\r\nHost: localhost\r\n"
	unfinished := alive + strings.Repeat("a:\r\n", 980)
	folder := buildPlain(t, "allinone")
	for name, request := range map[string]string{
		"unfinished":                unfinished,
		"unfinished behind another": alive + "\r\n" + unfinished,
		"finished":                  unfinished + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			orders := freeAddress(t)
			p := startBinary(t, folder, "allinone", "--order-addr="+orders, "--notification-addr=localhost:0", "--admin-addr=localhost:0", "--log-level=warn")
			awaitReady(t, orders)
			for range clients {
				conn, err := net.Dial("tcp", orders)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, request) // unless the server has closed the connection
			}
			status, err := fetch("POST", "http://"+orders+"/order", laptop, nil)
			if err != nil || status != http.StatusCreated && status != http.StatusServiceUnavailable {
				t.Errorf("a normal order: status %d, %v", status, err)
			}
			peak := peakMemory(t, p)
			if peak > most {
				t.Errorf("the process took %d MiB, want %d at most", peak>>10, most>>10)
			}
			t.Logf("took %d MiB at most", peak>>10)
		})
	}
}

// sendAndReadNothing sends the requests on a connection of its own, reads
// nothing, and keeps the connection until ctx ends.
func sendAndReadNothing(ctx context.Context, address, requests string) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return // the server takes no more connections
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_ = conn.(*net.TCPConn).SetReadBuffer(1 << 10) // the kernel rounds up
	_, _ = io.WriteString(conn, requests)
	<-ctx.Done()
}

// peakMemory returns the highest resident memory of the process so far, in KiB.
func peakMemory(t *testing.T, p *process) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("read the process's status: %v", err)
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	kib, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

// buildPlain builds an executable without the race detector, which takes
// several times the memory, and returns its folder.
func buildPlain(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return dir
}

// Refusals of long requests are short.
func TestRefusalsAreShort(t *testing.T) {
	orders := freeAddress(t)
	start(t, "allinone", "--order-addr="+orders, "--notification-addr=localhost:0", "--log-level=warn")
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

// exchange sends the bytes on a connection of its own and reads the answer.
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

// When idle connections reach the limit of open files, /readyz is answered at
// once, other requests when an idle connection has been closed, and the log says
// so in one line.
func TestConnectionsFillOpenFiles(t *testing.T) {
	for _, limit := range []int{64, 256} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			orders := freeAddress(t)
			shell := []string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, limit), filepath.Join(binaries, "allinone")}
			p := startBinary(t, "/bin", "sh", append(shell, "--order-addr="+orders, "--notification-addr=localhost:0", "--admin-addr=localhost:0")...)
			awaitReady(t, orders)
			const alive = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
			var last rawAnswer
			for i := 0; !last.closes; i++ { // until only the spare ones for health are left
				conn, err := net.Dial("tcp", orders)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if last = exchangeOn(t, conn, alive); last.status != http.StatusOK || i > limit {
					t.Fatalf("connection %d: answered %d", i, last.status)
				}
			}
			for range limit { // silent ones
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
			if n := strings.Count(p.out.String(), "too many connections"); n != 1 || strings.Contains(p.out.String(), "too many open files") {
				t.Errorf("%d lines about too many connections, want 1, and none about open files:\n%s", n, p.out.String())
			}
			p.stopWell(t, syscall.SIGTERM)
		})
	}
}
