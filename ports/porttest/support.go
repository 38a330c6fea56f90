package porttest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	patience = 30 * time.Second       // the limit for a required result
	quiet    = 300 * time.Millisecond // how long a clause waits for a forbidden result
	tick     = 10 * time.Millisecond  // the first pause between two checks
)

// bounded returns a context for a clause's calls. If an adapter hangs, the context
// ends the clause instead of the whole run.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until done reports true.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	pause := tick
	for end := time.Now().Add(patience); !done(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("did not happen within %v: %s", patience, what)
		}
		pause = min(pause*5/4, 10*tick)
	}
}

// awaitEach calls fetch until it has returned each of the ids.
func awaitEach[ID comparable](t testing.TB, what string, ids []ID, fetch func() []ID) {
	t.Helper()
	missing := slices.Clone(ids)
	pause := tick
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		got := fetch()
		missing = slices.DeleteFunc(missing, func(id ID) bool { return slices.Contains(got, id) })
		if len(missing) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: did not happen within %v for %d of %d, such as %v", what, patience, len(missing), len(ids), missing[0])
		}
		pause = min(pause*5/4, 10*tick)
	}
}

// withinLease calls try until a call returns within a lease of its claim, and fails t
// with the fault of that call. On a slow machine a call may take longer than the
// lease. It then proves nothing, and withinLease calls try again with the next round,
// from which try makes fresh ids.
func withinLease(t testing.TB, lease time.Duration, try func(round int) (claimed time.Time, fault string)) {
	t.Helper()
	end := time.Now().Add(patience)
	for round := 1; round == 1 || time.Now().Before(end); round++ {
		claimed, fault := try(round)
		if time.Since(claimed) > lease*9/10 {
			continue
		}
		if fault != "" {
			t.Fatal(fault)
		}
		return
	}
	t.Fatalf("no round finished within the lease of %v: set a longer lease on this machine", lease)
}

// watch calls look until half of the lease is over, and returns its first fault.
func watch(claimed time.Time, lease time.Duration, look func() (fault string)) string {
	for {
		if fault := look(); fault != "" {
			return fault
		}
		if time.Since(claimed) >= lease/2 {
			return ""
		}
		time.Sleep(lease / 12)
	}
}

// waitOut lets every claim that was made before now run out. A wait that is too
// short can only hide a fault, never report one.
func waitOut(lease time.Duration) { time.Sleep(lease + lease/5) }

// together calls f with 0 to n-1, all at once, and waits for all calls.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

// forEach calls f for each item, from up to 32 goroutines at once, and ends the
// clause if any call fails.
func forEach[T any](t testing.TB, items []T, f func(ctx context.Context, item T) error) {
	t.Helper()
	ctx := bounded(t)
	callers := min(32, len(items))
	errs := make([]error, callers)
	together(callers, func(c int) {
		for i := c; i < len(items) && errs[c] == nil; i += callers {
			errs[c] = f(ctx, items[i])
		}
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// onlyOne makes n calls at once and returns the one that succeeded. It returns a fault
// unless exactly one succeeded and the others' errors wrap other.
func onlyOne(t testing.TB, what string, n int, other error, call func(ctx context.Context, i int) error) (winner int, fault string) {
	ctx := bounded(t)
	errs := make([]error, n)
	together(n, func(i int) { errs[i] = call(ctx, i) })
	won := 0
	for i, err := range errs {
		if err == nil {
			winner = i
			won++
		} else if !errors.Is(err, other) {
			return 0, fmt.Sprintf("%s by %d callers: error %v, want nil or an error that wraps %q", what, n, err, other)
		}
	}
	if won != 1 {
		return 0, fmt.Sprintf("%s by %d callers succeeded for %d of them, want one", what, n, won)
	}
	return winner, ""
}

// either returns one for odd i and other for even i.
func either[T any](i int, one, other T) T {
	if i%2 == 0 {
		return other
	}
	return one
}

// checkEnded fails t unless call, with a context that has ended, returns an
// error that wraps the context's.
func checkEnded(t testing.TB, what string, call func(ctx context.Context) error) {
	t.Helper()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{cancelled, late} {
		if err := call(ctx); !errors.Is(err, ctx.Err()) {
			t.Errorf("%s with an ended context: error %v, want an error that wraps %q", what, err, ctx.Err())
		}
	}
}

// errorOf returns only the error of a call, for [checkEnded].
func errorOf[T any](_ T, err error) error { return err }

// checkError fails t unless err wraps want and names the id.
func checkError[ID ~string](t testing.TB, what string, err, want error, id ID) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s %s: error %v, want an error that wraps %q", what, id, err, want)
	} else if !strings.Contains(err.Error(), string(id)) {
		t.Errorf("%s %s: error %q does not name the id", what, id, err)
	}
}

// exactly compares times with their zone. It equates empty slices and maps with nil.
var exactly = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b time.Time) bool { return a == b }),
}

// checkEqual fails t unless got equals want.
func checkEqual[T any](t testing.TB, what string, want, got T, opts ...cmp.Option) {
	t.Helper()
	if diff := difference(what, want, got, opts...); diff != "" {
		t.Error(diff)
	}
}

// difference returns a fault unless got equals want.
func difference[T any](what string, want, got T, opts ...cmp.Option) (fault string) {
	if reflect.DeepEqual(want, got) {
		return "" // saves the time that cmp needs for long lists
	}
	if diff := cmp.Diff(want, got, append(opts, exactly)...); diff != "" {
		return fmt.Sprintf("%s (-want +got):\n%.2000s", what, diff)
	}
	return ""
}

// must ends the clause if a call failed.
func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", what, err))
	}
}

// wraps reports whether err wraps want and names what it is about.
func wraps(err, want error, name string) bool {
	return errors.Is(err, want) && strings.Contains(err.Error(), name)
}
