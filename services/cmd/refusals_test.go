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

// Clients that send what is refused, ask for large pages, and read nothing take
// the process to no more than a part of 256 MiB, and orders are taken meanwhile.
func TestRefusalsInBoundedMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a process takes is read from /proc")
	}
	const (
		most    = 192 << 10 // KiB of 256
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
	all.Go(func() { // a client like any other
		for ctx.Err() == nil {
			status, err := fetch("POST", "http://"+orders+"/order", `{"user_id":"1","product":"p","quantity":1}`, nil)
			if err != nil || status != http.StatusCreated {
				t.Errorf("an order meanwhile: %d, %v", status, err)
				return
			}
			placed++
			time.Sleep(10 * time.Millisecond) // what it places is kept in memory, too
		}
	})
	for range rounds {
		for _, request := range requests {
			for range clients {
				all.Go(func() { sendAndReadNothing(ctx, orders, request) })
			}
		}
		time.Sleep(pause) // a load is so much in so much time
	}
	peak := peakMemory(t, p)
	stop()
	all.Wait()
	if peak > most {
		t.Errorf("took %d MiB, want %d at most", peak>>10, most>>10)
	}
	if placed == 0 {
		t.Error("no order was taken")
	}
	t.Logf("took %d MiB at most, and %d orders", peak>>10, placed)
}

// Many connections with a header of almost 4 KB each, unfinished or read, take
// the process to no more than the same part of 256 MiB.
func TestHeadersInBoundedMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a process takes is read from /proc")
	}
	const (
		most    = 192 << 10 // KiB of 256
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
				_, _ = io.WriteString(conn, request) // or it is refused
			}
			status, err := fetch("POST", "http://"+orders+"/order", `{"user_id":"1","product":"p","quantity":1}`, nil)
			if err != nil || status != http.StatusCreated && status != http.StatusServiceUnavailable {
				t.Errorf("an order meanwhile: %d, %v", status, err)
			}
			peak := peakMemory(t, p)
			if peak > most {
				t.Errorf("took %d MiB, want %d at most", peak>>10, most>>10)
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
		return // as many as the server takes
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_ = conn.(*net.TCPConn).SetReadBuffer(1 << 10) // the kernel takes more
	_, _ = io.WriteString(conn, requests)
	<-ctx.Done()
}

// peakMemory returns how many KiB the process has had at most.
func peakMemory(t *testing.T, p *process) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("the process is gone: %v", err)
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

// What is refused is answered in a few KiB, whatever was sent.
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

// With as many idle connections as the limit of open files allows, health is
// answered, all else is as soon as one of them has been idle for a while, and one
// line says so.
func TestConnectionsFillOpenFiles(t *testing.T) {
	for _, limit := range []int{64, 256} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			orders := freeAddress(t)
			shell := []string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, limit), filepath.Join(binaries, "allinone")}
			p := startBinary(t, "/bin", "sh", append(shell, "--order-addr="+orders, "--notification-addr=localhost:0", "--admin-addr=localhost:0")...)
			awaitReady(t, orders)
			const alive = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
			var last rawAnswer
			for i := 0; !last.closes; i++ { // until only spare ones are left
				conn, err := net.Dial("tcp", orders)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if last = exchangeOn(t, conn, alive); last.status != http.StatusOK || i > limit {
					t.Fatalf("connection %d: answered %d", i, last.status)
				}
			}
			for range limit { // more that say nothing
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
			eventually(t, func() error { // idle ones make room
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
				t.Errorf("%d lines say so:\n%s", n, p.out.String())
			}
			if status := p.stop(t, syscall.SIGTERM); status != 0 {
				t.Errorf("exit status %d after SIGTERM", status)
			}
		})
	}
}
