package statelog_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/services/internal/statelog"
)

func TestState(t *testing.T) {
	refused := errors.New("dial 127.0.0.1:5672: connection refused")
	const first = "level=WARN msg=down error=\"dial 127.0.0.1:5672: connection refused\"\n" // without "for"
	tests := []struct {
		name string
		do   func(down func(error), up func())
		want string
	}{
		{"always up", func(_ func(error), up func()) { up(); up() }, ""},
		{"down once", func(down func(error), _ func()) { down(refused) }, first},
		{"the same reason with another port", func(down func(error), up func()) {
			down(refused)
			time.Sleep(59 * time.Second)
			down(errors.New("dial 127.0.0.1:5673: connection refused"))
			up()
			up()
		}, first + "level=INFO msg=up after=59s\n"},
		{"the same reason with another id", func(down func(error), _ func()) {
			for _, id := range []string{"01a21eca-aafe-7694-97f7-c9abdbc77e39-created", "01a21eca-aadd-7ba7-be63-960e7dc16c52-created"} {
				down(fmt.Errorf("claim delivery of event %s: %w", id, errors.New("login refused")))
				time.Sleep(10 * time.Second)
			}
		}, "level=WARN msg=down error=\"claim delivery of event 01a21eca-aafe-7694-97f7-c9abdbc77e39-created: login refused\"\n"},
		{"another reason", func(down func(error), _ func()) {
			down(refused)
			for range 7 {
				time.Sleep(time.Second)
				down(errors.New("login refused"))
			}
		}, first + "level=WARN msg=down for=5s error=\"login refused\"\n"},
		{"for three minutes", func(down func(error), _ func()) {
			for range 180 {
				down(refused)
				time.Sleep(time.Second)
			}
		}, first + "level=WARN msg=down for=1m0s error=\"dial 127.0.0.1:5672: connection refused\"\n" +
			"level=WARN msg=down for=2m0s error=\"dial 127.0.0.1:5672: connection refused\"\n"},
		{"down again later", func(down func(error), up func()) {
			down(refused)
			time.Sleep(10 * time.Second)
			up()
			down(refused)
		}, first + "level=INFO msg=up after=10s\n" +
			first},
		{"down and up a thousand times a second", func(down func(error), up func()) {
			for range 8_000 {
				down(refused)
				up()
				time.Sleep(time.Millisecond)
			}
		}, first + "level=INFO msg=up after=0s\n" +
			first + "level=INFO msg=up after=0s\n"},
		{"down, up and down again at once", func(down func(error), up func()) {
			down(refused)
			up()
			for range 15 {
				down(refused)
				time.Sleep(time.Second)
			}
			up()
		}, first + "level=INFO msg=up after=0s\n" +
			"level=WARN msg=down for=5s error=\"dial 127.0.0.1:5672: connection refused\"\n" +
			"level=INFO msg=up after=15s\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
				var state statelog.State
				tt.do(
					func(err error) { state.Down(t.Context(), log, "down", err) },
					func() { state.Up(t.Context(), log, "up") },
				)
				if diff := cmp.Diff(tt.want, out.String()); diff != "" {
					t.Errorf("log (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
