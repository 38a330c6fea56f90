package cmd_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readiness is what /readyz answers.
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

func place(t *testing.T, address string) (id string) {
	t.Helper()
	var order struct{ ID string }
	status, err := fetch("POST", "http://"+address+"/order", `{"user_id":"1","product":"p","quantity":1}`, &order)
	if err != nil || status != http.StatusCreated {
		t.Fatalf("place order: %d, %v", status, err)
	}
	return order.ID
}

func sent(t *testing.T, address, id string) int {
	t.Helper()
	var list struct{ Data []json.RawMessage }
	if _, err := fetch("GET", "http://"+address+"/notifications?order_id="+id, "", &list); err != nil {
		t.Fatal(err)
	}
	return len(list.Data)
}

// allInOne returns allinone in memory, whose streams the test sets.
func allInOne(t *testing.T, args ...string) (p *process, orders, notifications string) {
	t.Helper()
	orders, notifications = freeAddress(t), freeAddress(t)
	return prepare("allinone", append([]string{"--order-addr=" + orders, "--notification-addr=" + notifications, "--log-format=json"}, args...)...), orders, notifications
}

// pipe returns a pipe; the test has to close both ends.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// Whoever reads the log goes away: requests are answered as before, nothing is
// recorded as sent that was not written, and it is told.
func TestReaderOfTheLogGoesAway(t *testing.T) {
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
			t.Errorf("order %s: %d notifications recorded, which nobody got", id, n)
		}
	}
	if status := p.stop(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d after SIGTERM", status)
	}
	if got := p.out.String(); strings.Count(got, "stdout can't be written") != 1 || !strings.Contains(got, "broken pipe") {
		t.Errorf("not told once: %s", got)
	}
}

// A full disk is told on stderr and by /readyz.
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
		t.Errorf("%d notifications recorded, which nobody got", n)
	}
	if status := p.stop(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d after SIGTERM", status)
	}
	if got := p.out.String(); strings.Count(got, "stdout can't be written") != 1 || !strings.Contains(got, "no space left on device") {
		t.Errorf("not told once: %s", got)
	}
}

// Whoever reads the log has stopped, and does not even take what stderr has to
// say of it: requests are answered, and the stop comes to its end. Once the log
// is read again, each notification comes once.
func TestReaderOfTheLogStops(t *testing.T) {
	p, orders, notifications := allInOne(t)
	r, w := pipe(t)
	p.cmd.Stdout, p.cmd.Stderr = w, w
	p.start(t)
	w.Close()
	awaitReady(t, orders)
	placed := placeOrders(t, orders, 8, 400) // more than a pipe takes
	if len(placed) != 400 {
		t.Fatalf("%d orders, want 400", len(placed))
	}
	checkReady(t, notifications, "unready", "down")
	checkReady(t, orders, "ready", "")

	lines := make(map[string]int)
	read := make(chan struct{})
	go func() {
		defer close(read)
		scanner := bufio.NewScanner(r)
		for scanner.Scan() {
			var l struct {
				Msg     string
				OrderID string `json:"order_id"`
			}
			if json.Unmarshal(scanner.Bytes(), &l) == nil && l.Msg == "Received order" {
				lines[l.OrderID]++
			}
		}
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
	if status := p.stop(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d after SIGTERM", status)
	}
	<-read
	for id := range placed {
		if lines[id] != 1 {
			t.Errorf("order %s: %d lines", id, lines[id])
		}
	}
}

// The stop does not wait for a reader that has stopped.
func TestStopWithoutAReader(t *testing.T) {
	p, orders, _ := allInOne(t, "--shutdown-timeout=5s")
	_, w := pipe(t) // the other end is open, and nobody reads there
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

// A service whose log leads nowhere says so.
func TestNoStdout(t *testing.T) {
	p, orders, _ := allInOne(t)
	p.cmd.Path, p.cmd.Args = "/bin/sh", append([]string{"sh", "-c", `exec "$0" "$@" >&-`, filepath.Join(binaries, "allinone")}, p.cmd.Args[1:]...)
	p.start(t)
	awaitReady(t, orders)
	eventually(t, func() error {
		if !strings.Contains(p.out.String(), "allinone: stdout is closed, or /dev/null") {
			return errors.New("it is not told that nobody gets the log")
		}
		return nil
	})
	if status := p.stop(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d after SIGTERM", status)
	}
}

// The commands beside the service end as those of other programs do when nobody
// reads them.
func TestCommandsKeepSIGPIPE(t *testing.T) {
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
