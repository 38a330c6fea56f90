package main

import (
	"io"
	"testing"
)

// attempt returns the error that ended a function, after its deferred functions. Other
// panics go on.
func TestAttempt(t *testing.T) {
	deferred := false
	err := attempt(func() {
		defer func() { deferred = true }()
		must(0, io.ErrUnexpectedEOF)
		t.Error("the function went on")
	})
	if err != io.ErrUnexpectedEOF || !deferred {
		t.Errorf("got %v, deferred functions have run: %v", err, deferred)
	}
	if err := attempt(func() { check(nil) }); err != nil {
		t.Errorf("without an error: %v", err)
	}
	defer func() {
		if got := recover(); got != "a fault" {
			t.Errorf("another panic: got %v", got)
		}
	}()
	_ = attempt(func() { panic("a fault") })
}
