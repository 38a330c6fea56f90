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

func TestGroupKeepsAnOrdersTurn(t *testing.T) {
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
			t.Errorf("took %v, want 5s: a's one after the other, b beside them", d)
		}
	})
}

func TestHandle(t *testing.T) {
	failure := errors.New("no")
	tests := []struct {
		name      string
		handle    ports.Handler
		want      string
		permanent bool
	}{
		{"fine", func(context.Context, ports.Delivery) error { return nil }, "", false},
		{"failure", func(context.Context, ports.Delivery) error { return failure }, "no", false},
		{"permanent", func(context.Context, ports.Delivery) error { return ports.Permanent(failure) }, "no", true},
		{"panic", func(context.Context, ports.Delivery) error { panic("boom") }, "handler panicked: boom", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := dispatch.Handle(t.Context(), time.Minute, tt.handle, ports.Delivery{})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if got := ports.IsPermanent(err); got != tt.permanent {
				t.Errorf("permanent: %v, want %v", got, tt.permanent)
			}
		})
	}
}

func TestHandleOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		err := dispatch.Handle(ctx, time.Minute, func(ctx context.Context, _ ports.Delivery) error {
			<-ctx.Done()
			return ctx.Err()
		}, ports.Delivery{})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the handler's own deadline", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("handler's context ended after %v, want 1m", d)
		}
	})
}
