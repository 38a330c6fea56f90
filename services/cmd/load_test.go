package cmd_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// load has clients that place orders, each client one by one, until stop is called.
type load struct {
	end     chan struct{}
	clients sync.WaitGroup

	mu     sync.Mutex
	placed map[string]bool
}

func startLoad(t *testing.T, address string, clients int) *load {
	t.Helper()
	l := &load{end: make(chan struct{}), placed: make(map[string]bool)}
	for range clients {
		l.clients.Go(func() {
			for {
				select {
				case <-l.end:
					return
				default:
				}
				var o struct{ ID string }
				status, err := fetch("POST", "http://"+address+"/order", laptop, &o)
				if err != nil { // the service is stopped, or not started yet
					time.Sleep(10 * time.Millisecond)
					continue
				}
				if status != http.StatusCreated {
					t.Errorf("answered %d", status)
					return
				}
				l.mu.Lock()
				l.placed[o.ID] = true
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.placed)
}

// awaitMore waits until this number of further orders is placed.
func (l *load) awaitMore(t *testing.T, more int) {
	t.Helper()
	before := l.count()
	eventually(t, func() error {
		if n := l.count() - before; n < more {
			return fmt.Errorf("%d more orders", n)
		}
		return nil
	})
}

// stop ends the clients and returns the ids of the orders that were answered.
func (l *load) stop() map[string]bool {
	close(l.end)
	l.clients.Wait()
	return l.placed
}

// awaitSent waits until each of the orders is notified once, and returns the time of the
// last notification.
func awaitSent(t *testing.T, notifications string, placed map[string]bool) (last time.Time) {
	t.Helper()
	for id := range placed {
		eventually(t, func() error {
			at, err := sentOnce(notifications, id)
			if at.After(last) {
				last = at
			}
			return err
		})
	}
	return last
}
