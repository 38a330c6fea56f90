package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
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
		fails  bool          // the middle component, after a second
		slow   time.Duration // how long the middle component takes to stop
		signal time.Duration // when ctx ends
		ends   []string      // the components in the order in which they end
		want   string        // part of the error; empty: none
		took   time.Duration
	}{
		{"stopped in reverse order", false, 0, time.Minute, []string{"c", "b", "a"}, "", time.Minute},
		{"unfinished work", false, 7 * time.Second, time.Minute, []string{"c", "b", "a"}, "", time.Minute + 7*time.Second},
		{"one fails", true, 0, time.Minute, []string{"b", "c", "a"}, "boom", time.Second},
		{"one is too slow", false, 11 * time.Second, time.Minute, []string{"c"}, "b did not stop within 8s", time.Minute + 8*time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.signal)
				defer cancel()
				ends := make(chan string, 3)
				plain := func(name string) Component {
					return Component{Name: name, Run: func(ctx context.Context) error {
						<-ctx.Done()
						ends <- name
						return nil
					}}
				}
				middle := Component{Name: "b", Run: func(ctx context.Context) error {
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
				time.Sleep(time.Minute) // until the slow component has ended
			})
		})
	}
}

// When several components fail, RunAll returns the first error and logs the others.
func TestRunAllReturnsTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		failing := func(name string, after time.Duration) Component {
			return Component{Name: name, Run: func(context.Context) error {
				time.Sleep(after)
				return errors.New(name + " refused")
			}}
		}
		c := Common{ShutdownTimeout: 10 * time.Second}
		err := c.RunAll(t.Context(), slog.New(slog.NewTextHandler(&log, nil)),
			failing("broker", 2*time.Second), failing("consumer", time.Second), failing("letters", 3*time.Second))
		if err == nil || err.Error() != "consumer refused" {
			t.Errorf("got %v, want the first error alone", err)
		}
		for _, want := range []string{"broker refused", "letters refused"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("not logged: %s\n%s", want, log.String())
			}
		}
	})
}

// After SIGTERM the components run for the shutdown delay, unless one of them
// ends. ^C skips the delay.
func TestShutdownDelay(t *testing.T) {
	tests := []struct {
		name  string
		cause error
		ends  time.Duration // when the component ends by itself, after the signal; 0: never
		took  time.Duration
	}{
		{"SIGTERM", signalled{syscall.SIGTERM}, 0, 3 * time.Second},
		{"SIGHUP", signalled{syscall.SIGHUP}, 0, 3 * time.Second},
		{"SIGINT", signalled{os.Interrupt}, 0, 0},
		{"a component ends meanwhile", signalled{syscall.SIGTERM}, time.Second, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				component := Component{Name: "a", Run: func(ctx context.Context) error {
					if tt.ends > 0 {
						time.Sleep(tt.ends)
						return nil
					}
					<-ctx.Done()
					return nil
				}}
				cancel(tt.cause)
				c := Common{ShutdownDelay: 3 * time.Second, ShutdownTimeout: 10 * time.Second}
				began := time.Now()
				if err := c.RunAll(ctx, discard, component); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

// The steps of a stop fit into the shutdown timeout.
func TestSharesOfShutdownTimeout(t *testing.T) {
	c := Common{ShutdownTimeout: 10 * time.Second}
	if sum := c.stopTimeout() + 3*c.closeTimeout(); sum > c.ShutdownTimeout || c.HandlersStopTimeout() > c.stopTimeout() {
		t.Errorf("components, store, broker and log take %v of %v", sum, c.ShutdownTimeout)
	}
}
