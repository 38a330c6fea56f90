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
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/logchannel"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func resumedPlain(dropped int) []byte { return fmt.Appendf(nil, "again, %d dropped\n", dropped) }

// sink is a writer whose writes have the results that the test sets.
type sink struct {
	mu      sync.Mutex
	got     bytes.Buffer
	room    int   // bytes that are taken before err
	err     error // nil: everything is taken
	blocked chan struct{}
}

func (s *sink) Write(p []byte) (int, error) {
	if s.blocked != nil {
		<-s.blocked
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return s.got.Write(p)
	}
	n := min(len(p), s.room)
	s.got.Write(p[:n])
	s.room -= n
	return n, s.err
}

func (s *sink) set(room int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room, s.err = room, err
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.String()
}

func waitedFor(text string) *line { return &line{text: []byte(text), fate: make(chan error, 1)} }

var errNoSpace = syscall.ENOSPC

// A write that fails in the middle of a line has written the lines before it. The
// next write begins a new line.
func TestOutputAfterAPartialWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{room: len("one\ntw"), err: errNoSpace}
		var changes []string
		o := newOutput(s, resumedPlain, func(err error) { changes = append(changes, fmt.Sprint(err)) })
		lines := []*line{waitedFor("one\n"), waitedFor("two\n"), {text: []byte("log\n")}, waitedFor("three\n")}
		o.mu.Lock()
		for _, l := range lines { // all in one batch
			l.ctx, l.until = t.Context(), time.Now().Add(time.Hour)
			o.put(l)
		}
		o.kick()
		o.mu.Unlock()
		synctest.Wait()
		for i, want := range []error{nil, errNoSpace, nil, errNoSpace} {
			if lines[i].fate == nil {
				continue
			}
			if err := <-lines[i].fate; err != want {
				t.Errorf("line %d: got %v, want %v", i+1, err, want)
			}
		}
		if err := o.Ping(t.Context()); !errors.Is(err, errNoSpace) {
			t.Errorf("ping while writes fail: got %v", err)
		}
		s.set(0, nil)
		if err := o.writeLine(t.Context(), waitedFor("four\n")); err != nil {
			t.Errorf("once writes succeed: %v", err)
		}
		if err := o.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff("one\ntw\nagain, 1 dropped\nfour\n", s.String()); diff != "" {
			t.Errorf("written (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{errNoSpace.Error(), "<nil>"}, changes); diff != "" {
			t.Errorf("reported changes (-want +got):\n%s", diff)
		}
	})
}

// Ping finds out that writing works again, without another line.
func TestOutputPingAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{err: errNoSpace}
		o := newOutput(s, resumedPlain, nil)
		fmt.Fprintln(o, "lost")
		synctest.Wait()
		for range 3 {
			if err := o.Ping(t.Context()); !errors.Is(err, errNoSpace) {
				t.Errorf("got %v, want %v", err, errNoSpace)
			}
		}
		s.set(0, nil)
		for range 3 {
			if err := o.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := o.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := s.String(); got != "again, 1 dropped\n" {
			t.Errorf("written: %q", got)
		}
	})
}

// A blocked write delays no caller for longer than the timeout, no log line, no
// ping, and not the close.
func TestOutputDuringABlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{blocked: make(chan struct{})}
		var changes []string
		o := newOutput(s, resumedPlain, func(err error) { changes = append(changes, fmt.Sprint(err)) })
		fmt.Fprintln(o, "first")
		synctest.Wait()
		began := time.Now()
		if err := o.writeLine(t.Context(), waitedFor("second\n")); err != errStuck {
			t.Errorf("got %v, want %v", err, errStuck)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := o.writeLine(ctx, waitedFor("third\n")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's end", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := o.Ping(ctx); err == nil {
			t.Error("ping succeeds while a write is blocked")
		}
		const many = 20_000
		for range many {
			fmt.Fprintln(o, strings.Repeat("x", 99))
		}
		if took := time.Since(began); took > outputTimeout+3*time.Second {
			t.Errorf("took %v", took)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if err := o.Close(ctx); err == nil || time.Since(began) > 2*time.Second {
			t.Errorf("close: %v after %v", err, time.Since(began))
		}
		if diff := cmp.Diff([]string{errStuck.Error()}, changes); diff != "" {
			t.Errorf("reported changes (-want +got):\n%s", diff)
		}
		close(s.blocked) // the rest is written after all
		synctest.Wait()
		got := s.String()
		if strings.Contains(got, "second") || strings.Contains(got, "third") {
			t.Error("a line was written although its caller got an error")
		}
		written := strings.Count(got, "\nx") // the first follows "first"
		if want := fmt.Sprintf("again, %d dropped\n", many-written); written == 0 || written*100 > outputBuffer || !strings.Contains(got, want) {
			t.Errorf("%d lines written, but not %q", written, want)
		}
	})
}

// The line in a blocked write may still be written.
func TestOutputOfALineInABlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{blocked: make(chan struct{})}
		o := newOutput(s, resumedPlain, nil)
		l := waitedFor("hangs\n")
		if err := o.writeLine(t.Context(), l); err != errUnderWay {
			t.Errorf("got %v, want %v", err, errUnderWay)
		}
		close(s.blocked)
		if err := o.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if len(l.fate) > 0 {
			t.Error("a line has two results")
		}
	})
}

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

// While the reader of a pipe pauses, notifications fail as during an outage of the
// receiver. Once it continues, it gets no line whose caller got an error.
func TestOutputToAPausedReader(t *testing.T) {
	r, w := blockingPipe(t)
	c := Common{LogFormat: "json", LogLevel: "info"}
	o := newOutput(w, c.resumed, nil)
	channel := logchannel.New(c.noticeHandler(o))
	log := c.logger(o)
	log.Info("begin")

	const each = 100
	var mu sync.Mutex
	sent, failed := make(map[domain.EventID]bool), make(map[domain.EventID]bool)
	var callers sync.WaitGroup
	for caller := range 16 {
		callers.Go(func() {
			for n := range each {
				id := domain.OrderID(fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-%012d", caller*each+n))
				order, err := domain.NewOrder(id, "123", "Laptop", 2, time.Now())
				if err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				event := order.Created()
				err = channel.Send(ctx, event)
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
		t.Errorf("%d callers failed in the end, want all 16, or the line end is missing", failures)
	}
}

// A notification does not wait for a log line that does not fit into the pipe.
func TestOutputOfALongLine(t *testing.T) {
	r, w := blockingPipe(t)
	c := Common{LogFormat: "json", LogLevel: "info"}
	o := newOutput(w, c.resumed, nil)
	h := c.noticeHandler(o)
	for range 16 { // more than a pipe takes
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
	if err := o.writeLine(t.Context(), waitedFor("line\n")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v, want %v", err, syscall.EPIPE)
	}
	if err := o.Ping(t.Context()); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("ping: got %v", err)
	}
	if err := o.Close(t.Context()); err != nil {
		t.Error(err) // no log line was lost
	}
}
