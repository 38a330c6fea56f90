package sqlite_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/orderflow/adapters/sqlite"
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
	if _, err := removed.Waiting(t.Context()); !errors.Is(err, ports.ErrNotFound) {
		t.Errorf("the queue still exists: %v", err)
	}
	if _, err := kept.Waiting(t.Context()); err != nil {
		t.Errorf("another queue: %v", err)
	}
}
