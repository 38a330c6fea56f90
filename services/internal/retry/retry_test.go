package retry_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/services/internal/retry"
)

func TestUntil(t *testing.T) {
	const maxPause = time.Second
	tests := []struct {
		name        string
		doneAt      int           // the call that returns true; 0: none
		timeout     time.Duration // of the context
		most, least int           // number of calls
	}{
		{"done at once", 1, time.Hour, 1, 1},
		{"done later", 7, time.Hour, 7, 7},
		{"done after more than 15 minutes, the library's default limit", 1500, time.Hour, 1500, 1500},
		{"never done", 0, time.Minute, 100, 45},
		{"context ended before", 0, 0, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				calls, last, pause := 0, time.Now(), 50*time.Millisecond
				retry.Until(ctx, maxPause, func() bool {
					if calls++; calls > 1 {
						if took := time.Since(last); took < pause*7/10 || took > pause*13/10 {
							t.Errorf("call %d comes after a pause of %v, want %v ± 30%%", calls, took, pause)
						}
						last, pause = time.Now(), min(2*pause, maxPause)
					}
					return calls == tt.doneAt
				})
				if calls < tt.least || calls > tt.most {
					t.Errorf("called %d times, want %d to %d", calls, tt.least, tt.most)
				}
				if tt.doneAt == 0 && ctx.Err() == nil {
					t.Error("returned before the context ended")
				}
			})
		})
	}
}
