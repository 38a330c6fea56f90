package cmd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Both services are killed in the middle of their work, again and again: every
// order that was answered with 201 is notified, and none twice but those that a
// killed notifier may have had in hand between sending and recording.
func TestKilled(t *testing.T) {
	settings := servers(t)
	orders, notifications := freeAddress(t), freeAddress(t)
	startOrder := func() *process { return start(t, "order", append(settings, "--addr="+orders)...) }
	startNotifier := func() *process {
		return start(t, "notification", append(settings, "--addr="+notifications, "--prefetch=200")...)
	}
	order, notifier := startOrder(), startNotifier()
	awaitReady(t, orders)
	awaitReady(t, notifications)

	placed := make(map[string]bool)
	var mu sync.Mutex
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(placed)
	}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var o struct{ ID string }
				status, err := fetch("POST", "http://"+orders+"/order", `{"user_id":"1","product":"p","quantity":1}`, &o)
				if err != nil { // killed, or not yet back
					time.Sleep(10 * time.Millisecond)
					continue
				}
				if status != http.StatusCreated {
					t.Errorf("answered %d", status)
					return
				}
				mu.Lock()
				placed[o.ID] = true
				mu.Unlock()
			}
		})
	}
	awaitMore := func() {
		t.Helper()
		before := count()
		eventually(t, func() error {
			if n := count() - before; n < 300 {
				return fmt.Errorf("%d more orders", n)
			}
			return nil
		})
	}
	var logs strings.Builder
	kill := func(p *process) {
		t.Helper()
		p.stop(t, syscall.SIGKILL)
		if p.name == "notification" {
			logs.WriteString(p.out.String())
		}
	}
	const rounds = 3
	for range rounds {
		awaitMore()
		kill(order)
		order = startOrder()
		awaitMore()
		kill(notifier)
		notifier = startNotifier()
	}
	awaitMore()
	close(stop)
	clients.Wait()

	// What a killed process held is free again when its claims have run out.
	deadline := time.Now().Add(3 * time.Minute)
	for id := range placed {
		for {
			err := sentOnce(notifications, id)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(errors.Join(errors.New("lost"), err))
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	if status := errors.Join(exit(order, order.stop(t, syscall.SIGTERM)), exit(notifier, notifier.stop(t, syscall.SIGTERM))); status != nil {
		t.Error(status)
	}

	logs.WriteString(notifier.out.String())
	lines := make(map[string]int)
	for line := range strings.Lines(logs.String()) {
		var l struct {
			Msg     string
			OrderID string `json:"order_id"`
		}
		// A killed process may have left half a line.
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "Received order" && placed[l.OrderID] {
			lines[l.OrderID]++
		}
	}
	repeated := 0
	for _, n := range lines {
		if n > 1 {
			repeated++
		}
	}
	const inHand = 200 // at most, by --prefetch
	if repeated > rounds*inHand {
		t.Errorf("%d notifications were repeated, more than were in hand at %d kills", repeated, rounds)
	}
	t.Logf("%d orders placed, all notified; %d of them repeated by %d kills in the window between sending and recording",
		len(placed), repeated, rounds)
}

func exit(p *process, status int) error {
	if status != 0 {
		return fmt.Errorf("%s: exit status %d after SIGTERM", p.name, status)
	}
	return nil
}
