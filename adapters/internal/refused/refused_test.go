package refused_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"example.com/orderflow/adapters/internal/refused"
	"example.com/orderflow/ports"
)

func TestError(t *testing.T) {
	err := fmt.Errorf("open store: %w", refused.Error(fmt.Errorf("it is no folder: %w", fs.ErrInvalid)))
	if want := "open store: it is no folder: invalid argument"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	for _, kind := range []error{ports.ErrUnavailable, ports.ErrRefused, fs.ErrInvalid} {
		if !errors.Is(err, kind) {
			t.Errorf("it does not wrap %v", kind)
		}
	}
}
