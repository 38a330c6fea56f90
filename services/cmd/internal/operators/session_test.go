package operators

import (
	"context"
	"io"
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

func TestActionsIsQuick(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	common := &app.Common{Store: "mongodb://localhost:1/d", StartTimeout: time.Minute}
	if err := new(listActions).Run(ctx, common, app.Streams{Out: io.Discard, Err: io.Discard}); err == nil || common.StartTimeout != patience {
		t.Errorf("waits for %v, want %v; %v", common.StartTimeout, patience, err)
	}
}
