package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// trap kills this process at one place. A nil trap does nothing.
type trap struct {
	method string
	place  string       // before, during or after the call
	left   atomic.Int64 // calls that come there until then
	kill   func()
}

// duringTime bounds the time from the begin of a call to a kill during it.
const duringTime = 2 * time.Millisecond

// parseTrap reads METHOD:PLACE:NUMBER; an empty text is no trap.
func parseTrap(text string) (*trap, error) {
	if text == "" {
		return nil, nil
	}
	var n int64
	t := &trap{kill: die}
	parts := strings.Split(text, ":")
	if len(parts) == 3 {
		_, _ = fmt.Sscan(parts[2], &n) // 0 is refused
		t.method, t.place = parts[0], parts[1]
	}
	if n <= 0 || t.place != "before" && t.place != "during" && t.place != "after" {
		return nil, fmt.Errorf("--kill: %q: give METHOD:PLACE:NUMBER, such as Add:before:3; a place is before, during or after", text)
	}
	t.left.Store(n)
	return t, nil
}

// is reports whether the trap is at the method.
func (t *trap) is(method string) bool { return t != nil && t.method == method }

// call is called before a method. The function that it returns is called after the
// method, with whether the method had something to do.
func (t *trap) call(method string) (done func(something bool)) {
	if !t.is(method) {
		return func(bool) {}
	}
	switch t.place {
	case "before":
		t.spring()
	case "during":
		if t.left.Add(-1) == 0 {
			time.AfterFunc(rand.N(duringTime), t.kill)
		}
	}
	return func(something bool) {
		if something && t.place == "after" {
			t.spring()
		}
	}
}

// spring kills the process when the last of the calls has come.
func (t *trap) spring() {
	if t.left.Add(-1) == 0 {
		t.kill()
	}
}

// die kills this process, and does not return.
func die() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {}
}
