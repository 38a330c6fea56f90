package wiring_test

import (
	"errors"
	"io"
	"testing"

	"example.com/orderflow/services/internal/wiring"
)

func TestCheck(t *testing.T) {
	var pointer *io.PipeReader
	var function func()
	tests := []struct {
		name  string
		given any
		fault string
	}{
		{"a value", errors.New("x"), ""},
		{"a struct", struct{}{}, ""},
		{"nothing", nil, "relay needs an outbox, got nil"},
		{"a nil pointer in an interface", io.Reader(pointer), "relay needs an outbox, got nil"},
		{"a nil function", function, "relay needs an outbox, got nil"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := wiring.Check("relay", wiring.Part{Name: "a publisher", Given: 1}, wiring.Part{Name: "an outbox", Given: tt.given})
			if got := text(err); got != tt.fault {
				t.Errorf("got %q, want %q", got, tt.fault)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
