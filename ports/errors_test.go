package ports_test

import (
	"errors"
	"fmt"
	"testing"

	"example.com/orderflow/ports"
)

func TestPermanent(t *testing.T) {
	cause := errors.New("no such address")
	marked := fmt.Errorf("send: %w", ports.Permanent(cause))
	if !ports.IsPermanent(marked) {
		t.Error("a wrapped mark is not seen")
	}
	if !errors.Is(marked, cause) {
		t.Error("the mark hides its cause")
	}
	if got, want := marked.Error(), "send: no such address"; got != want {
		t.Errorf("the mark changes the text: got %q, want %q", got, want)
	}
	if ports.IsPermanent(cause) || ports.IsPermanent(nil) {
		t.Error("what is not marked counts as permanent")
	}
	if err := ports.Permanent(nil); err != nil {
		t.Errorf("Permanent(nil) = %v, want nil", err)
	}
}
