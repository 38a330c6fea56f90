package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// The command for operators deletes the queue of the subscription and nothing else, also
// when names have quotes.
func TestDeleteCommand(t *testing.T) {
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "it's.db"), sqlite.Options{})
	removed, kept := s.Subscription("o'mail"), s.Subscription("kept")
	for _, queue := range []sqlite.Consumer{removed, kept} {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- queue.Consume(ctx, func(context.Context, ports.Delivery) error { return nil })
		}()
		for queue.Ping(ctx) != nil {
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if _, err := exec.LookPath("sqlite3"); err != nil {
		if command := removed.DeleteCommand(); !strings.Contains(command, `o'\'''\''mail`) {
			t.Errorf("got %s", command)
		}
		return
	}
	if out, err := exec.Command("sh", "-c", removed.DeleteCommand()).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", removed.DeleteCommand(), err, out)
	}
	if _, err := removed.Depth(t.Context()); !errors.Is(err, ports.ErrNotFound) {
		t.Errorf("the queue still exists: %v", err)
	}
	if _, err := kept.Depth(t.Context()); err != nil {
		t.Errorf("another queue: %v", err)
	}
}

func init() {
	children["consume"] = func(url string) error {
		s, err := sqlite.Open(context.Background(), url, sqlite.Options{Prefetch: heldEvents})
		if err != nil {
			return err
		}
		var holds atomic.Int32
		return s.Consumer().Consume(context.Background(), func(ctx context.Context, _ ports.Delivery) error {
			if holds.Add(1) == heldEvents {
				fmt.Println("holds")
			}
			<-ctx.Done()
			return ctx.Err()
		})
	}
}

// heldEvents is how many events the child "consume" takes; it handles none.
const heldEvents = 20

// The events that a killed process had taken go to another consumer, as the same attempt,
// and each event is handled once.
func TestKilledConsumersEventsComeAgain(t *testing.T) {
	url := newURL(t)
	s := open(t, url, sqlite.Options{})
	const count = 3 * heldEvents
	var events []domain.Event
	for n := range count {
		events = append(events, newOrder(t, n).Created())
	}
	if err := errors.Join(s.Publisher().Publish(t.Context(), events...)...); err != nil {
		t.Fatal(err)
	}
	c := startChild(t, "consume", url)
	c.expect(t, "holds")
	if d, err := s.Consumer().Depth(t.Context()); d.Ready != count-heldEvents || err != nil {
		t.Errorf("%d events wait, error %v, want %d", d.Ready, err, count-heldEvents)
	}

	deliveries := make(chan ports.Delivery, 2*count)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- s.Consumer().Consume(ctx, func(_ context.Context, d ports.Delivery) error { deliveries <- d; return nil })
	}()
	handled := make(map[domain.EventID]int)
	collect := func(n int) {
		for range n {
			select {
			case d := <-deliveries:
				if handled[d.Event.ID]++; d.Attempt != 1 {
					t.Errorf("attempt %d of %s", d.Attempt, d.Event.ID)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("handled %d events of %d", len(handled), count)
			}
		}
	}
	collect(count - heldEvents)
	if len(deliveries) > 0 {
		t.Error("an event that another process handles was handled")
	}
	c.kill(t)
	collect(heldEvents)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(handled) != count || len(deliveries) > 0 {
		t.Errorf("handled %d events and %d again, want %d once", len(handled), len(deliveries), count)
	}
}
