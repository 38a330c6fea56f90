package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
