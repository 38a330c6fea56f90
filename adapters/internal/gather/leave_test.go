package gather

import (
	"context"
	"testing"
	"testing/synctest"
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
