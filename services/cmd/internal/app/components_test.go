package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var discard = slog.New(slog.DiscardHandler)

func TestRunAll(t *testing.T) {
	failure := errors.New("boom")
	tests := []struct {
		name   string
		fails  bool          // the middle one, after a second
		slow   time.Duration // how long the middle one takes to stop
		signal time.Duration // when ctx ends
		ends   []string
		want   string // part of the error; empty: none
		took   time.Duration
	}{
		{"in reverse order", false, 0, time.Minute, []string{"c", "b", "a"}, "", time.Minute},
		{"what is in hand is finished", false, 7 * time.Second, time.Minute, []string{"c", "b", "a"}, "", time.Minute + 7*time.Second},
		{"one fails", true, 0, time.Minute, []string{"b", "c", "a"}, "boom", time.Second},
		{"one is too slow", false, 11 * time.Second, time.Minute, []string{"c"}, "b was not done 8s after the signal", time.Minute + 8*time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.signal)
				defer cancel()
				ends := make(chan string, 3)
				plain := func(name string) Component {
					return Component{name, func(ctx context.Context) error {
						<-ctx.Done()
						ends <- name
						return nil
					}}
				}
				middle := Component{"b", func(ctx context.Context) error {
					if tt.fails {
						time.Sleep(time.Second)
						ends <- "b"
						return failure
					}
					<-ctx.Done()
					time.Sleep(tt.slow)
					ends <- "b"
					return nil
				}}
				c := Common{ShutdownTimeout: 10 * time.Second}
				began := time.Now()
				err := c.RunAll(ctx, discard, plain("a"), middle, plain("c"))
				took := time.Since(began)
				var got []string
				for len(ends) > 0 {
					got = append(got, <-ends)
				}
				if diff := cmp.Diff(tt.ends, got); diff != "" {
					t.Errorf("ends (-want +got):\n%s", diff)
				}
				if took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("got error %v, want %q", err, tt.want)
				}
				time.Sleep(time.Minute) // for what was too slow
			})
		})
	}
}
