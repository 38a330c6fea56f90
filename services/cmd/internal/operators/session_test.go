package operators

import (
	"testing"
	"time"

	"example.com/orderflow/services/cmd/internal/app"
)

// A command does not wait as long for the store as a service may, and no longer than it is
// told.
func TestQuick(t *testing.T) {
	for configured, want := range map[time.Duration]time.Duration{time.Minute: patience, time.Second: time.Second} {
		if got := quick(&app.Common{StartTimeout: configured}).StartTimeout; got != want {
			t.Errorf("%v: waits for %v, want %v", configured, got, want)
		}
	}
}
