package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/ports"
)

func TestWaitFor(t *testing.T) {
	away := fmt.Errorf("dial: %w", ports.ErrUnavailable)
	wrong := errors.New("login refused")
	tests := []struct {
		name   string
		try    func(tries int) error
		cancel time.Duration
		want   string // part of the error; empty: none
		least  time.Duration
		most   time.Duration
		logged []string
	}{
		{"there at once", func(int) error { return nil }, time.Hour, "", 0, 0, nil},
		{"there after a while", func(n int) error {
			if n < 10 {
				return away
			}
			return nil
		}, time.Hour, "", 5 * time.Second, 30 * time.Second, []string{"waiting for the store", "the store answers"}},
		{"never there", func(int) error { return away }, time.Hour, "the store did not answer within 1m0s: dial: unavailable; start it, or name another", 50 * time.Second, time.Minute, []string{"waiting for the store"}},
		{"wrong", func(int) error { return wrong }, time.Hour, "login refused", 0, 0, nil},
		{"interrupted", func(int) error { return away }, 7 * time.Second, "interrupted", 7 * time.Second, 7 * time.Second, []string{"waiting for the store"}},
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
						t.Error("a try without a bound")
					}
					tries++
					return tt.try(tries)
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

type serverError struct{ error }

func (serverError) ErrorCodes() []int { return []int{18} }

// A server that refuses is asked once more, for one that goes down looks the
// same; what else it says may pass, and is waited for in its own words.
func TestWaitForARefusal(t *testing.T) {
	refused := fmt.Errorf("%w: %w: login", ports.ErrUnavailable, ports.ErrRefused)
	away := fmt.Errorf("dial: %w", ports.ErrUnavailable)
	full := fmt.Errorf("%w: %w", ports.ErrUnavailable, serverError{errors.New("too many queues")})
	tests := []struct {
		name  string
		tries []error // the last again and again
		want  string
		took  bool // all the time there is
	}{
		{"twice in a row", []error{away, refused, refused}, "refused: login", false},
		{"once", []error{refused, nil}, "", false},
		{"twice, not in a row", []error{refused, away, refused, nil}, "", false},
		{"never taken back", []error{full}, "the broker could not be used within 1m0s: unavailable: too many queues; mend that, or name another", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries, began := 0, time.Now()
				err := waitFor(t.Context(), "broker", time.Minute, discard, func(context.Context) error {
					tries++
					return tt.tries[min(tries, len(tt.tries))-1]
				})
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("got error %v, want %q", err, tt.want)
				}
				if took := time.Since(began); (took > 50*time.Second) != tt.took {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// The reason is said again when it changes, and each minute; a port that
// changes is no other reason.
func TestWaitForSaysWhy(t *testing.T) {
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

func TestURLOf(t *testing.T) {
	for address, want := range map[string]string{
		":8080": "http://localhost:8080", "0.0.0.0:80": "http://localhost:80", "[::]:80": "http://localhost:80",
		"127.0.0.1:80": "http://localhost:80", "10.0.0.1:80": "http://10.0.0.1:80", "shop:80": "http://shop:80",
	} {
		if got := urlOf(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
