//go:build unix

package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/orderflow/adapters/logchannel"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// blockingPipe returns a pipe whose writing end blocks, like the stdout of a
// service.
func blockingPipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	var ends [2]int
	if err := syscall.Pipe(ends[:]); err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(ends[0])
	syscall.CloseOnExec(ends[1])
	r, w = os.NewFile(uintptr(ends[0]), "reader"), os.NewFile(uintptr(ends[1]), "writer")
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// While the reader of a pipe pauses, notifications fail as in an outage of the
// receiver. Once the reader continues, it gets no line whose caller got an error.
func TestOutputToAPausedReader(t *testing.T) {
	r, w := blockingPipe(t)
	c := Common{LogFormat: "json", LogLevel: "info"}
	o := newOutput(w, c.resumed, nil)
	channel := logchannel.New(c.noticeHandler(o))
	log := c.logger(o)
	log.Info("begin")

	var mu sync.Mutex
	sent, failed := make(map[domain.EventID]bool), make(map[domain.EventID]bool)
	var callers sync.WaitGroup
	for caller := range 16 {
		callers.Go(func() {
			for n := 0; ; n++ { // until the pipe is full, however many callers have failed before
				id := domain.OrderID(fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-%02d%010d", caller, n))
				order, err := domain.NewOrder(id, "123", "Laptop", 2, time.Now())
				if err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				event := order.Created()
				_, err = channel.Send(ctx, ports.Outgoing{ID: string(event.ID), Event: event, Attempt: 1})
				cancel()
				if err != nil && !ports.IsPostponed(err) {
					t.Errorf("%v is not marked as an outage", err)
				}
				mu.Lock()
				sent[event.ID], failed[event.ID] = err == nil, err != nil
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	callers.Wait()
	var read bytes.Buffer
	var reader sync.WaitGroup
	reader.Go(func() { _, _ = io.Copy(&read, r) })
	log.Info("end")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := o.Close(ctx); err != nil {
		t.Error(err)
	}
	w.Close()
	reader.Wait()

	failures := 0
	for id, wanted := range sent {
		if got := strings.Count(read.String(), string(id)); got > 1 || (got == 1) != wanted {
			t.Errorf("%s was written %d times, and Send succeeded: %v", id, got, wanted)
		}
		if failed[id] {
			failures++
		}
	}
	if failures != 16 || !strings.Contains(read.String(), `"msg":"end"`) {
		t.Errorf("%d callers failed, want 16, or the line \"end\" is missing", failures)
	}
}

// A notification does not wait for a log line that does not fit into the pipe.
func TestOutputOfALongLine(t *testing.T) {
	r, w := blockingPipe(t)
	c := Common{LogFormat: "json", LogLevel: "info"}
	o := newOutput(w, c.resumed, nil)
	h := c.noticeHandler(o)
	for range 16 { // more than a pipe holds
		fmt.Fprintln(o, strings.Repeat("x", 5000))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_ = h.Handle(ctx, slog.NewRecord(began, slog.LevelInfo, "notice", 0)) // it fails once the pipe is full
		cancel()
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := o.Close(ctx); err != nil {
		t.Error(err)
	}
}

// A closed pipe makes writes fail.
func TestOutputToAClosedPipe(t *testing.T) {
	r, w := blockingPipe(t)
	o := newOutput(w, resumedPlain, nil)
	r.Close()
	if err := o.writeLine(t.Context(), newLine("line\n")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v, want %v", err, syscall.EPIPE)
	}
	if err := o.Ping(t.Context()); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("ping: got %v", err)
	}
	if err := o.Close(t.Context()); err != nil {
		t.Error(err) // no log line was lost
	}
}
