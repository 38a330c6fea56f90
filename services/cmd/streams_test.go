package cmd_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readiness is the answer of /readyz.
type readiness struct {
	Status string
	Checks map[string]string
}

func checkReady(t *testing.T, address, status, log string) {
	t.Helper()
	eventually(t, func() error {
		var r readiness
		if _, err := fetch("GET", "http://"+address+"/readyz", "", &r); err != nil {
			return err
		}
		if r.Status != status || r.Checks["log"] != log {
			return fmt.Errorf("/readyz of %s: %+v, want it %s and the log %q", address, r, status, log)
		}
		return nil
	})
}

// allInOne returns orderflow in memory. It is not started, so that the test can set its
// streams.
func allInOne(t *testing.T, args ...string) (p *process, orders, notifications string) {
	t.Helper()
	orders, notifications = freeAddress(t), freeAddress(t)
	return prepare("orderflow", append([]string{"--order-addr=" + orders, "--notification-addr=" + notifications, "--log-format=json"}, args...)...), orders, notifications
}

// pipe returns a pipe, and closes both ends when the test ends.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// When the reader of stdout exits, requests are answered as before, unwritten
// notifications are not recorded, and stderr and /readyz report the failure.
func TestStdoutReaderExits(t *testing.T) {
	p, orders, notifications := allInOne(t)
	r, w := pipe(t)
	p.cmd.Stdout = w
	p.start(t)
	w.Close()
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, orders)
	r.Close()
	var ids []string
	for range 10 {
		ids = append(ids, place(t, orders))
	}
	checkReady(t, notifications, "unready", "down")
	checkReady(t, orders, "ready", "")
	for _, id := range ids {
		if n := sent(t, notifications, id); n != 0 {
			t.Errorf("order %s: %d notifications recorded that were not written", id, n)
		}
	}
	p.stopWell(t, syscall.SIGTERM)
	if got := p.out.String(); strings.Count(got, "stdout can't be written") != 1 || !strings.Contains(got, "broken pipe") {
		t.Errorf("not reported once: %s", got)
	}
}

// A full disk makes the service unready, and stderr reports it.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("this system has no /dev/full")
	}
	defer full.Close()
	p, orders, notifications := allInOne(t)
	p.cmd.Stdout = full
	p.start(t)
	awaitReady(t, orders)
	id := place(t, orders)
	checkReady(t, notifications, "unready", "down")
	if n := sent(t, notifications, id); n != 0 {
		t.Errorf("%d notifications recorded that were not written", n)
	}
	p.stopWell(t, syscall.SIGTERM)
	if got := p.out.String(); strings.Count(got, "stdout can't be written") != 1 || !strings.Contains(got, "no space left on device") {
		t.Errorf("not reported once: %s", got)
	}
}

// While the reader of stdout and stderr pauses, requests are answered. Once it
// continues, each notification comes once, and the service stops in order.
func TestStdoutReaderPauses(t *testing.T) {
	t.Parallel()
	p, orders, notifications := allInOne(t)
	r, w := pipe(t)
	p.cmd.Stdout, p.cmd.Stderr = w, w
	p.start(t)
	w.Close()
	awaitReady(t, orders)
	placed := placeOrders(t, orders, 8, 400) // more lines than a pipe holds
	if len(placed) != 400 {
		t.Fatalf("%d orders, want 400", len(placed))
	}
	checkReady(t, notifications, "unready", "down")
	checkReady(t, orders, "ready", "")

	var log strings.Builder
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&log, r)
	}()
	checkReady(t, notifications, "ready", "up")
	for id := range placed {
		eventually(t, func() error {
			if n := sent(t, notifications, id); n != 1 {
				return fmt.Errorf("order %s: %d notifications recorded", id, n)
			}
			return nil
		})
	}
	p.stopWell(t, syscall.SIGTERM)
	<-read
	lines := notificationLines(log.String())
	for id := range placed {
		if lines[id] != 1 {
			t.Errorf("order %s: %d lines", id, lines[id])
		}
	}
}

// The stop does not wait for a reader that pauses.
func TestStopWhileStdoutReaderPauses(t *testing.T) {
	p, orders, _ := allInOne(t, "--shutdown-timeout=5s")
	_, w := pipe(t) // its reading end stays open
	p.cmd.Stdout, p.cmd.Stderr = w, w
	p.start(t)
	w.Close()
	awaitReady(t, orders)
	if n := len(placeOrders(t, orders, 8, 400)); n != 400 {
		t.Fatalf("%d orders, want 400", n)
	}
	began := time.Now()
	p.stop(t, syscall.SIGTERM)
	if took := time.Since(began); took > 7*time.Second {
		t.Errorf("the stop took %v", took)
	}
}

// A service whose stdout is closed reports that on stderr.
func TestClosedStdout(t *testing.T) {
	p, orders, _ := allInOne(t)
	p.cmd.Path, p.cmd.Args = "/bin/sh", append([]string{"sh", "-c", `exec "$0" "$@" >&-`, filepath.Join(binaries, "orderflow")}, p.cmd.Args[1:]...)
	p.start(t)
	awaitReady(t, orders)
	eventually(t, func() error {
		if !strings.Contains(p.out.String(), "orderflow: stdout is closed, or /dev/null") {
			return errors.New("stderr does not say that the log is lost")
		}
		return nil
	})
	p.stopWell(t, syscall.SIGTERM)
}

// SIGPIPE ends commands.
func TestSIGPIPEEndsCommands(t *testing.T) {
	p := prepare("order")
	p.cmd.Args = []string{"order", "--help"}
	r, w := pipe(t)
	r.Close()
	p.cmd.Stdout = w
	p.start(t)
	p.wait(t)
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGPIPE {
		t.Errorf("ended by %v, want SIGPIPE", p.cmd.ProcessState)
	}
}
