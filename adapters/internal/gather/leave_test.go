package gather

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

type word string

func (w word) Key() string { return string(w) }
func (w word) Size() int   { return len(w) }

// A caller whose context ends frees its item, however long the running write
// takes.
func TestEndedCallerFreesItsItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		g := New(func(_ context.Context, items []word) []error {
			<-open
			return make([]error, len(items))
		})
		go g.Do(t.Context(), "under way")
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		for range 100 {
			go g.Do(ctx, "waiting")
		}
		go g.Do(t.Context(), "patient")
		synctest.Wait()
		if len(g.waiting) != 101 {
			t.Fatalf("%d calls wait, want 101", len(g.waiting))
		}
		cancel()
		synctest.Wait()
		if len(g.waiting) != 1 || g.waiting[0].item != "patient" {
			t.Errorf("%d calls wait, want only the one whose context has not ended", len(g.waiting))
		}
		close(open)
		synctest.Wait()
	})
}

// A timeout ends a call and frees its item, as the end of its context does.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended context.Context
		g := New(func(ctx context.Context, items []word) []error {
			ended = ctx
			<-ctx.Done()
			return make([]error, len(items))
		})
		g.Timeout = 2 * time.Second
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- g.Do(t.Context(), "under way") }()
		time.Sleep(time.Second)
		go func() { second <- g.Do(t.Context(), "waiting") }()
		for i, done := range []chan error{first, second} {
			began := time.Now()
			if err := <-done; err != context.DeadlineExceeded || time.Since(began) != time.Second {
				t.Errorf("call %d: %v after another %v, want %v after 1s", i+1, err, time.Since(began), context.DeadlineExceeded)
			}
		}
		synctest.Wait()
		if ended.Err() == nil || len(g.waiting) > 0 {
			t.Errorf("the write goes on: %v; %d calls wait", ended.Err() == nil, len(g.waiting))
		}
	})
}
