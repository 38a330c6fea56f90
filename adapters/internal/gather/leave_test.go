package gather

import (
	"context"
	"testing"
	"testing/synctest"
)

type word string

func (w word) Key() string { return string(w) }
func (w word) Size() int   { return len(w) }

// Whoever gives up leaves nothing behind, however long the write under way
// takes.
func TestLeavingFreesTheItem(t *testing.T) {
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
			t.Fatalf("%d wait, want 101", len(g.waiting))
		}
		cancel()
		synctest.Wait()
		if len(g.waiting) != 1 || g.waiting[0].item != "patient" {
			t.Errorf("%d wait, want only the patient one", len(g.waiting))
		}
		close(open)
		synctest.Wait()
	})
}
