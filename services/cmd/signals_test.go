package cmd_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// orderAlone returns the order service with a store in memory and without a broker.
func orderAlone(t *testing.T, args ...string) (p *process, address string) {
	address = freeAddress(t)
	return prepare("order", append([]string{"--addr=" + address, "--store=memory:", "--broker=amqp://localhost:1/"}, args...)...), address
}

// A service survives two SIGHUPs, of the system and the shell, when its terminal
// closes: it stops in order.
func TestHangup(t *testing.T) {
	t.Parallel() // it waits most of the time
	// A process that ignores a signal, as under nohup, has its children ignore it. One that
	// catches it does not.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	defer signal.Stop(caught)
	p, address := orderAlone(t, "--shutdown-delay=10s")
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
	p.stopWell(t, syscall.SIGHUP)
}

// Under nohup, SIGHUP has no effect.
func TestHangupUnderNohup(t *testing.T) {
	p, address := orderAlone(t)
	p.cmd.Path, p.cmd.Args = "/bin/sh", append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, filepath.Join(binaries, "order")}, p.cmd.Args[1:]...)
	p.start(t)
	awaitReady(t, address)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	place(t, address)
	p.stopWell(t, syscall.SIGTERM)
}

// After SIGTERM the service is unready, but serves for the shutdown delay: no request
// fails.
func TestShutdownDelay(t *testing.T) {
	p, address := orderAlone(t, "--shutdown-delay=1h")
	p.start(t)
	awaitReady(t, address)

	var clients sync.WaitGroup
	end := make(chan struct{})
	var mu sync.Mutex
	answers := make(map[string]int)
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				status, err := fetch("POST", "http://"+address+"/order", laptop, nil)
				mu.Lock()
				answers[fmt.Sprint(status, " ", err)]++
				mu.Unlock()
			}
		})
	}
	awaitAnswers := func(more int) {
		t.Helper()
		count := func() (all int) {
			mu.Lock()
			defer mu.Unlock()
			for _, n := range answers {
				all += n
			}
			return all
		}
		before := count()
		eventually(t, func() error {
			if n := count() - before; n < more {
				return fmt.Errorf("%d more answers", n)
			}
			return nil
		})
	}
	awaitAnswers(50)
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
	awaitAnswers(500)
	close(end)
	clients.Wait()
	if n := answers[fmt.Sprint(http.StatusCreated, " ", error(nil))]; n == 0 || len(answers) != 1 {
		t.Errorf("answers: %v", answers)
	}
	client.CloseIdleConnections()

	// A second signal kills the process.
	began := time.Now()
	p.stop(t, syscall.SIGTERM)
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || time.Since(began) > 5*time.Second {
		t.Errorf("after a second signal: %v, %v later", p.cmd.ProcessState, time.Since(began))
	}
}

// ^C skips the shutdown delay.
func TestNoDelayAfterInterrupt(t *testing.T) {
	p, address := orderAlone(t, "--shutdown-delay=1h")
	p.start(t)
	awaitReady(t, address)
	p.stopWell(t, syscall.SIGINT)
}

// A signal ends a command with exit status 1.
func TestInterruptedCommand(t *testing.T) {
	t.Parallel()
	p := prepare("notification", "dead-letters", "list", "--store=mongodb://localhost:1/x", "--broker=amqp://localhost:1/")
	p.start(t)
	eventually(t, func() error {
		if !strings.Contains(p.out.String(), "waiting for the store") {
			return errors.New("the command does not wait yet")
		}
		return nil
	})
	if status := p.stop(t, syscall.SIGTERM); status != 1 || !strings.Contains(p.out.String(), "notification: interrupted") {
		t.Errorf("exit status %d, output:\n%s", status, p.out.String())
	}
}
