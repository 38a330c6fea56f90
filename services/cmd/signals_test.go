package cmd_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// alone returns the order service without servers.
func alone(t *testing.T, args ...string) (p *process, address string) {
	address = freeAddress(t)
	return prepare("order", append([]string{"--addr=" + address, "--store=memory:", "--broker=amqp://localhost:1/"}, args...)...), address
}

// A terminal's end is a stop in order, although it sends SIGHUP twice: by the
// system and by the shell.
func TestHangup(t *testing.T) {
	p, address := alone(t, "--shutdown-delay=1s")
	p.start(t)
	awaitReady(t, address)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		status, err := fetch("GET", "http://"+address+"/readyz", "", nil)
		if err == nil && status != http.StatusServiceUnavailable {
			err = fmt.Errorf("/readyz answers %d", status)
		}
		return err
	})
	if status := p.stop(t, syscall.SIGHUP); status != 0 {
		t.Errorf("exit status %d after SIGHUP", status)
	}
}

// Under nohup there is no terminal's end.
func TestHangupUnderNohup(t *testing.T) {
	p, address := alone(t)
	p.cmd.Path, p.cmd.Args = "/bin/sh", append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, filepath.Join(binaries, "order")}, p.cmd.Args[1:]...)
	p.start(t)
	awaitReady(t, address)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	place(t, address)
	if status := p.stop(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d after SIGTERM", status)
	}
}

// After SIGTERM a service is unready and goes on serving: no request of clients
// fails that learn of it late, and come no more then.
func TestShutdownDelay(t *testing.T) {
	p, address := alone(t, "--shutdown-delay=10s")
	p.start(t)
	awaitReady(t, address)

	var clients sync.WaitGroup
	leave := make(chan struct{})
	var mu sync.Mutex
	answers := make(map[string]int)
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-leave:
					return
				default:
				}
				status, err := fetch("POST", "http://"+address+"/order", `{"user_id":"1","product":"p","quantity":1}`, nil)
				mu.Lock()
				answers[fmt.Sprint(status, " ", err)]++
				mu.Unlock()
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		var ready readiness
		if status, err := fetch("GET", "http://"+address+"/readyz", "", &ready); err != nil || status != http.StatusServiceUnavailable {
			return fmt.Errorf("/readyz: %d, %v", status, err)
		}
		return nil
	})
	time.Sleep(2 * time.Second)
	close(leave)
	clients.Wait()
	if n := answers[fmt.Sprint(http.StatusCreated, " ", error(nil))]; n == 0 || len(answers) != 1 {
		t.Errorf("answers: %v", answers)
	}
	client.CloseIdleConnections()

	// A second signal ends it at once.
	began := time.Now()
	p.stop(t, syscall.SIGTERM)
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || time.Since(began) > 5*time.Second {
		t.Error(errors.New("a second signal does not end it at once"), p.cmd.ProcessState)
	}
}

// ^C has nobody wait.
func TestNoDelayByHand(t *testing.T) {
	p, address := alone(t, "--shutdown-delay=1h")
	p.start(t)
	awaitReady(t, address)
	if status := p.stop(t, syscall.SIGINT); status != 0 {
		t.Errorf("exit status %d after SIGINT", status)
	}
}

// A command that is interrupted has not done its work, and says so.
func TestInterruptedCommand(t *testing.T) {
	p := prepare("notification", "dead-letters", "list", "--store=mongodb://localhost:1/x", "--broker=amqp://localhost:1/")
	p.start(t)
	eventually(t, func() error {
		if !strings.Contains(p.out.String(), "waiting for the store") {
			return errors.New("it does not wait yet")
		}
		return nil
	})
	if status := p.stop(t, syscall.SIGTERM); status != 1 || !strings.Contains(p.out.String(), "notification: interrupted") {
		t.Errorf("exit status %d; it wrote:\n%s", status, p.out.String())
	}
}
