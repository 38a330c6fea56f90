package dispatch_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/internal/dispatch"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestGroupRunsAnOrdersFunctionsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g dispatch.Group
		var mu sync.Mutex
		var got []string
		run := func(order domain.OrderID, name string, d time.Duration) {
			g.Go(order, func() {
				time.Sleep(d)
				mu.Lock()
				defer mu.Unlock()
				got = append(got, name)
			})
		}
		run("a", "a1", 3*time.Second)
		run("a", "a2", time.Second)
		run("b", "b1", 2*time.Second)
		run("a", "a3", time.Second)
		start := time.Now()
		g.Wait()
		if diff := cmp.Diff([]string{"b1", "a1", "a2", "a3"}, got); diff != "" {
			t.Errorf("ends (-want +got):\n%s", diff)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("took %v, want 5s: a's functions one after the other, b's at the same time", d)
		}
	})
}

func TestCall(t *testing.T) {
	failure := errors.New("no")
	tests := []struct {
		name      string
		call      func(context.Context) error
		want      string
		permanent bool
	}{
		{"success", func(context.Context) error { return nil }, "", false},
		{"failure", func(context.Context) error { return failure }, "no", false},
		{"permanent", func(context.Context) error { return ports.Permanent(failure) }, "no", true},
		{"panic", func(context.Context) error { panic("boom") }, "panicked: boom", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := dispatch.Limits{}.Call(t.Context(), tt.call)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if got := ports.IsPermanent(err); got != tt.permanent {
				t.Errorf("permanent: %v, want %v", got, tt.permanent)
			}
		})
	}
}

func TestCallIsBounded(t *testing.T) {
	tests := []struct {
		name   string
		limits dispatch.Limits
		stop   time.Duration // when the call's context ends
		want   time.Duration
	}{
		{"by default", dispatch.Limits{}, time.Hour, 30 * time.Second},
		{"as set", dispatch.Limits{Timeout: time.Minute}, time.Hour, time.Minute},
		{"stopping", dispatch.Limits{}, 10 * time.Second, 15 * time.Second},
		{"stopping as set", dispatch.Limits{StopTimeout: time.Second}, 10 * time.Second, 11 * time.Second},
		{"stopped before", dispatch.Limits{}, 0, 5 * time.Second},
		{"almost done", dispatch.Limits{}, 29 * time.Second, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.stop)
				defer cancel()
				start := time.Now()
				err := tt.limits.Call(ctx, func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				})
				if err == nil {
					t.Error("the call's error is lost")
				}
				if d := time.Since(start); d != tt.want {
					t.Errorf("the call's context ended after %v, want %v", d, tt.want)
				}
			})
		})
	}
}

func TestGroupRunsFunctionsWithoutOrderAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g dispatch.Group
		start := time.Now()
		for range 10 {
			g.Go("", func() { time.Sleep(time.Second) })
		}
		g.Wait()
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v, want 1s, because all run at once", d)
		}
	})
}

func TestLimitsOfZeroOrLessMeanTheDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := dispatch.Limits{Timeout: -time.Second, StopTimeout: -time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		err := limits.Call(ctx, func(ctx context.Context) error {
			if deadline, _ := ctx.Deadline(); deadline.Sub(start) != dispatch.DefaultTimeout {
				t.Errorf("the call's timeout is %v, want %v", deadline.Sub(start), dispatch.DefaultTimeout)
			}
			cancel()
			<-ctx.Done()
			return ctx.Err()
		})
		if d := time.Since(start); d != dispatch.DefaultStopTimeout || !errors.Is(err, context.Canceled) {
			t.Errorf("after its context has ended, the call ends after %v with error %v, want %v", d, err, dispatch.DefaultStopTimeout)
		}
	})
}
