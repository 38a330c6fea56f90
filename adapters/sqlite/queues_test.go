package sqlite

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/ports"
)

// publish puts the nth order's event into the queues.
func publish(t *testing.T, s *Store, n int) {
	t.Helper()
	if err := s.Publisher().Publish(t.Context(), newOrder(t, n).Created())[0]; err != nil {
		t.Fatal(err)
	}
}

// consume consumes the queue until the returned function is called.
func consume(t *testing.T, c Consumer, handle ports.Handler) (stop func()) {
	return until(t, func(ctx context.Context) error { return c.Consume(ctx, handle) })
}

func drain(t *testing.T, s *Store, keep func(context.Context, ports.DeadLetter) error) (stop func()) {
	return until(t, func(ctx context.Context) error { return s.DeadLetterQueue().Drain(ctx, keep) })
}

func until(t *testing.T, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func await[T any](t *testing.T, c <-chan T, what string) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(30 * time.Second):
		t.Error(what)
	}
	return value
}

// What a write has taken is handed over, even if the disk answers after the write's time.
func TestTakeThatIsAnsweredLate(t *testing.T) {
	t.Parallel() // it mostly waits
	d, name := newDisk(t)
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{vfs: name, writeTimeout: time.Second})
	publish(t, s, 1)
	if err := s.DeadLetterQueue().SetAside(t.Context(), "", newOrder(t, 2).Created(), newLetter(2).Failure); err != nil {
		t.Fatal(err)
	}
	stall := func() {
		var stalled atomic.Bool
		d.failWith(func(op, suffix string) error {
			if op == "write" && suffix == "-wal" && stalled.CompareAndSwap(false, true) {
				time.Sleep(3 * time.Second / 2)
			}
			return nil
		})
	}
	handled, kept := make(chan int, 10), make(chan string, 10)
	stall()
	stop := consume(t, s.Consumer(), func(_ context.Context, d ports.Delivery) error { handled <- d.Attempt; return nil })
	await(t, handled, "the event stays with this process")
	stop()
	stall()
	stop = drain(t, s, func(_ context.Context, letter ports.DeadLetter) error { kept <- letter.ID; return nil })
	await(t, kept, "the letter stays with this process")
	stop()
	if len(handled) > 0 || len(kept) > 0 {
		t.Errorf("%d events and %d letters came again", len(handled), len(kept))
	}
}

// A message with properties that can't be read is set aside with its body.
func TestDamagedMessageKeepsItsBody(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	publish(t, s, 1)
	spoil(t, s, "UPDATE messages SET properties = '['")
	want, err := wire.Encode(newOrder(t, 1).Created())
	if err != nil {
		t.Fatal(err)
	}
	defer consume(t, s.Consumer(), func(context.Context, ports.Delivery) error {
		t.Error("the event was handled")
		return nil
	})()
	letters := make(chan ports.DeadLetter, 1)
	defer drain(t, s, func(_ context.Context, letter ports.DeadLetter) error { letters <- letter; return nil })()
	if letter := await(t, letters, "no dead letter"); !bytes.Equal(letter.Message.Body, want.Body) {
		t.Errorf("body %q, want %q", letter.Message.Body, want.Body)
	}
}

// A queue that is deleted while it is consumed exists again soon, and its consumer gets
// the events that are published from then on.
func TestDeletedQueueIsMadeAgain(t *testing.T) {
	var log bytes.Buffer
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	queue := s.Subscription("mail")
	handled := make(chan struct{}, 1)
	stop := consume(t, queue, func(context.Context, ports.Delivery) error { handled <- struct{}{}; return nil })
	for queue.Ping(t.Context()) != nil {
		time.Sleep(time.Millisecond)
	}
	spoil(t, s, "DELETE FROM subscriptions")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		_, err := queue.Depth(t.Context())
		if err == nil {
			break
		}
		if !errors.Is(err, ports.ErrNotFound) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
	publish(t, s, 1)
	await(t, handled, "the event is not in the queue")
	stop()
	if !bytes.Contains(log.Bytes(), []byte("the queue was deleted")) {
		t.Errorf("logged %q", log.String())
	}
}

// Consumers that find nothing write nothing, or idle processes would wake each other for
// ever.
func TestEmptyTakesWriteNothing(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	o := &outage{logger: s.options.Logger}
	r := &run{Consumer: s.Subscription("mail"), outage: o}
	if err := s.persistDeclare(t.Context(), o, "mail"); err != nil {
		t.Fatal(err)
	}
	c, err := s.file.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	c.sawChange()
	messages, _, err := r.take(t.Context(), 10)
	letters, _, err2 := s.DeadLetterQueue().take(t.Context(), o, 10)
	if err := errors.Join(err, err2); len(messages) > 0 || len(letters) > 0 || err != nil {
		t.Errorf("took %d messages and %d letters, error %v", len(messages), len(letters), err)
	}
	if c.sawChange() {
		t.Error("the file has changed")
	}
}

// A drain hands nothing over after its end: what it has taken returns to the queue.
func TestEndedDrainKeepsNothing(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	if err := s.DeadLetterQueue().SetAside(t.Context(), "", newOrder(t, 1).Created(), newLetter(1).Failure); err != nil {
		t.Fatal(err)
	}
	o := &outage{logger: s.options.Logger}
	taken, _, err := s.DeadLetterQueue().take(t.Context(), o, 10)
	if len(taken) != 1 || err != nil {
		t.Fatalf("took %d letters, error %v", len(taken), err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s.DeadLetterQueue().hand(ended, o, taken[0], func(context.Context, ports.DeadLetter) error {
		t.Error("keep was called")
		return nil
	})
	if taken, _, err = s.DeadLetterQueue().take(t.Context(), o, 10); len(taken) != 1 || err != nil {
		t.Errorf("took %d letters again, error %v, want the one", len(taken), err)
	}
}

// callQueues runs every statement of the queues.
func callQueues(t *testing.T, s *Store) {
	t.Helper()
	results := []error{errors.New("fails"), ports.Postpone(errors.New("down")), ports.Permanent(errors.New("refused")), nil}
	done := make(chan struct{}, 10)
	var calls atomic.Int32
	queue := s.Subscription("mail")
	stop := consume(t, queue, func(context.Context, ports.Delivery) error {
		defer func() { done <- struct{}{} }()
		return results[int(calls.Add(1)-1)%len(results)]
	})
	for queue.Ping(t.Context()) != nil {
		time.Sleep(time.Millisecond)
	}
	for n := range results {
		publish(t, s, n)
		await(t, done, "not handled")
	}
	stop()
	letters := make(chan ports.DeadLetter, 10)
	stop = drain(t, s, func(_ context.Context, letter ports.DeadLetter) error { letters <- letter; return nil })
	letter := await(t, letters, "no dead letter")
	stop()
	if err := s.DeadLetterQueue().Replay(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if _, err := queue.Depth(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &run{Consumer: queue, outage: &outage{logger: s.options.Logger}, slots: make(chan struct{}, 10)}
	messages, _, err := r.take(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		r.slots <- struct{}{}
		r.giveBack(m)
	}
}
