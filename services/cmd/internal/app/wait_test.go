package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/ports"
)

type serverError struct{ error }

func (serverError) ErrorCodes() []int { return []int{18} }

// waitFor retries one refusal, because a server that shuts down may refuse once. It
// retries other errors of a server until the timeout, and returns the last.
func TestWaitFor(t *testing.T) {
	unavailable := fmt.Errorf("dial: %w", ports.ErrUnavailable)
	refused := fmt.Errorf("%w: %w: login", ports.ErrUnavailable, ports.ErrRefused)
	full := fmt.Errorf("%w: %w", ports.ErrUnavailable, serverError{errors.New("too many queues")})
	tests := []struct {
		name   string
		tries  []error // the last one repeats
		cancel time.Duration
		want   string // part of the error; empty: none
		least  time.Duration
		most   time.Duration
		logged []string
	}{
		{"available at once", []error{nil}, time.Hour, "", 0, 0, nil},
		{"available later", append(slices.Repeat([]error{unavailable}, 9), nil), time.Hour, "", 5 * time.Second, 30 * time.Second,
			[]string{"waiting for the store", "the store answers"}},
		{"never available", []error{unavailable}, time.Hour, "the store did not answer within 1m0s: dial: unavailable; start it, or name another",
			50 * time.Second, time.Minute, []string{"waiting for the store"}},
		{"error of the server", []error{full}, time.Hour, "the store could not be used within 1m0s: unavailable: too many queues; correct the cause, or name another",
			50 * time.Second, time.Minute, []string{"waiting for the store"}},
		{"another error", []error{errors.New("login refused")}, time.Hour, "login refused", 0, 0, nil},
		{"interrupted", []error{unavailable}, 7 * time.Second, "interrupted", 7 * time.Second, 7 * time.Second, []string{"waiting for the store"}},
		{"refused twice in a row", []error{unavailable, refused, refused}, time.Hour, "refused: login", 0, time.Second, nil},
		{"refused once", []error{refused, nil}, time.Hour, "", 0, time.Second, nil},
		{"refused twice, not in a row", []error{refused, unavailable, refused, nil}, time.Hour, "", 0, time.Second, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.cancel)
				defer cancel()
				var log bytes.Buffer
				tries := 0
				began := time.Now()
				err := waitFor(ctx, "store", time.Minute, slog.New(slog.NewTextHandler(&log, nil)), func(ctx context.Context) error {
					if _, bounded := ctx.Deadline(); !bounded {
						t.Error("try has no deadline")
					}
					tries++
					return tt.tries[min(tries, len(tt.tries))-1]
				})
				if took := time.Since(began); took < tt.least || took > tt.most {
					t.Errorf("took %v, want %v to %v", took, tt.least, tt.most)
				}
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("got error %v, want %q", err, tt.want)
				}
				if lines := strings.Count(log.String(), "\n"); lines != len(tt.logged) {
					t.Errorf("%d lines logged, want %d:\n%s", lines, len(tt.logged), log.String())
				}
				for _, want := range tt.logged {
					if !strings.Contains(log.String(), want) {
						t.Errorf("%q is not logged:\n%s", want, log.String())
					}
				}
			})
		})
	}
}

// The timeout of a try that took most of the time is a better reason than an earlier error.
// Otherwise the earlier error is.
func TestWaitForNamesTheLongTry(t *testing.T) {
	for _, tt := range []struct {
		errors time.Duration // tries fail at once until this time, and hang afterwards
		want   string
	}{{time.Second, "no answer to the login"}, {50 * time.Second, "refused connection"}} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			err := waitFor(t.Context(), "broker", time.Minute, slog.New(slog.DiscardHandler), func(ctx context.Context) error {
				if time.Since(began) < tt.errors {
					return fmt.Errorf("%w: refused connection", ports.ErrUnavailable)
				}
				<-ctx.Done()
				return fmt.Errorf("%w: no answer to the login: %w", ports.ErrUnavailable, ctx.Err())
			})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
}

// waitFor logs the reason again when it changes, and each minute. A reason with
// another port is the same.
func TestWaitForLogsTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		tries, began := 0, time.Now()
		_ = waitFor(t.Context(), "store", 5*time.Minute, slog.New(slog.NewTextHandler(&log, nil)), func(context.Context) error {
			tries++
			if time.Since(began) < 90*time.Second {
				return fmt.Errorf("read tcp [::1]:%d: %w", 40000+tries, ports.ErrUnavailable)
			}
			return fmt.Errorf("not authorized: %w", ports.ErrUnavailable)
		})
		var got []string
		for line := range strings.Lines(log.String()) {
			_, line, _ = strings.Cut(line, "msg=")
			got = append(got, regexp.MustCompile(`\d+`).ReplaceAllString(strings.TrimSpace(line), "N"))
		}
		first := `"waiting for the store" for_at_most=NmNs error="read tcp [::N]:N: unavailable"`
		again := strings.ReplaceAll(first, "for_at_most", "for=NmNs for_at_most")
		changed := strings.ReplaceAll(again, "read tcp [::N]:N", "not authorized")
		if diff := cmp.Diff([]string{first, again, changed, changed, changed, changed}, got); diff != "" {
			t.Errorf("logged (-want +got):\n%s", diff)
		}
	})
}
