package cmd_test

import (
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
	"testing"
	"time"
)

// The process takes 192 MiB at most, and still takes orders, while clients send invalid
// requests, ask for large pages, and read no answer.
func TestRefusalsInBoundedMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the test reads a process's memory from /proc")
	}
	const (
		clients = 50
		rounds  = 12
		pause   = 800 * time.Millisecond
	)
	orders := freeAddress(t)
	p := startPlain(t, orders)
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
	all.Go(func() { // a well-behaved client
		for ctx.Err() == nil {
			status, err := fetch("POST", "http://"+orders+"/order", laptop, nil)
			if err != nil || status != http.StatusCreated {
				t.Errorf("place a small order: status %d, %v", status, err)
				return
			}
			placed++
			time.Sleep(10 * time.Millisecond) // stored orders take memory, too
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
	checkPeakMemory(t, p)
	stop()
	all.Wait()
	if placed == 0 {
		t.Error("no order was taken")
	}
	t.Logf("%d orders were taken", placed)
}

// The process takes 192 MiB at most while many connections have sent a header of
// almost 4 KB each, finished or not.
func TestHeadersInBoundedMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the test reads a process's memory from /proc")
	}
	const clients = 3000
	const alive = "GET /livez HTTP/1.1\r\nHost: localhost\r\n"
	unfinished := alive + strings.Repeat("a:\r\n", 980)
	for name, request := range map[string]string{
		"unfinished":                unfinished,
		"unfinished behind another": alive + "\r\n" + unfinished,
		"finished":                  unfinished + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			orders := freeAddress(t)
			p := startPlain(t, orders)
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
				t.Errorf("place a small order: status %d, %v", status, err)
			}
			checkPeakMemory(t, p)
		})
	}
}

// sendAndReadNothing sends the requests on a new connection, reads nothing, and
// keeps the connection open until ctx ends.
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

// checkPeakMemory fails t if the process has taken more than 192 MiB of resident
// memory.
func checkPeakMemory(t *testing.T, p *process) {
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
	const limit = 192 // MiB
	if kib > limit<<10 {
		t.Errorf("the process took %d MiB, want %d at most", kib>>10, limit)
	}
	t.Logf("the process took %d MiB at most", kib>>10)
}

// plain builds orderflow without the race detector, which takes several times the memory,
// and returns its folder.
var plain = sync.OnceValues(func() (folder string, err error) {
	folder = filepath.Join(binaries, "plain")
	if out, err := exec.Command("go", "build", "-o", folder+"/", "./orderflow").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build orderflow: %w\n%s", err, out)
	}
	return folder, nil
})

// startPlain starts orderflow, built without the race detector.
func startPlain(t *testing.T, orders string) *process {
	t.Helper()
	folder, err := plain()
	if err != nil {
		t.Fatal(err)
	}
	return startBinary(t, folder, "orderflow", "--order-addr="+orders, "--notification-addr=localhost:0", "--admin-addr=localhost:0", "--log-level=warn")
}
