package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func resumedPlain(dropped int) []byte { return fmt.Appendf(nil, "again, %d dropped\n", dropped) }

// sink is a writer. A test sets the results of its writes.
type sink struct {
	mu      sync.Mutex
	got     bytes.Buffer
	room    int   // bytes that it writes before err
	err     error // nil: it writes all bytes
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

func newLine(text string) *line { return &line{text: []byte(text), result: make(chan error, 1)} }

var errNoSpace = syscall.ENOSPC

// A write that fails in the middle of a line has written the lines before it. The
// next write begins a new line.
func TestOutputAfterAPartialWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{room: len("one\ntw"), err: errNoSpace}
		var changes []string
		o := newOutput(s, resumedPlain, func(err error) { changes = append(changes, fmt.Sprint(err)) })
		lines := []*line{newLine("one\n"), newLine("two\n"), {text: []byte("log\n")}, newLine("three\n")}
		o.mu.Lock()
		for _, l := range lines { // all in one batch
			l.ctx, l.deadline = t.Context(), time.Now().Add(time.Hour)
			o.put(l)
		}
		o.kick()
		o.mu.Unlock()
		synctest.Wait()
		for i, want := range []error{nil, errNoSpace, nil, errNoSpace} {
			if lines[i].result == nil {
				continue
			}
			if err := <-lines[i].result; err != want {
				t.Errorf("line %d: got %v, want %v", i+1, err, want)
			}
		}
		if err := o.Ping(t.Context()); !errors.Is(err, errNoSpace) {
			t.Errorf("ping while writes fail: got %v", err)
		}
		s.set(0, nil)
		if err := o.writeLine(t.Context(), newLine("four\n")); err != nil {
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

// Ping succeeds once writing works again, even if no other line is written.
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

// A blocked write delays callers, pings and the close only for a bounded time, and
// log lines not at all.
func TestOutputDuringABlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{blocked: make(chan struct{})}
		var changes []string
		o := newOutput(s, resumedPlain, func(err error) { changes = append(changes, fmt.Sprint(err)) })
		fmt.Fprintln(o, "first")
		synctest.Wait()
		began := time.Now()
		if err := o.writeLine(t.Context(), newLine("second\n")); err != errStuck {
			t.Errorf("got %v, want %v", err, errStuck)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := o.writeLine(ctx, newLine("third\n")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's end", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := o.Ping(ctx); err == nil {
			t.Error("ping succeeded while a write was blocked")
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
		close(s.blocked) // now the output writes the rest
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

// The error for the line in a blocked write says that the line may still be written.
func TestOutputOfALineInABlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{blocked: make(chan struct{})}
		o := newOutput(s, resumedPlain, nil)
		l := newLine("hangs\n")
		if err := o.writeLine(t.Context(), l); err != errUnderWay {
			t.Errorf("got %v, want %v", err, errUnderWay)
		}
		close(s.blocked)
		if err := o.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if len(l.result) > 0 {
			t.Error("a line has two results")
		}
	})
}
