package porttest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"example.com/orderflow/ports/porttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const lease = time.Second

// broken is an adapter with one fault, and the clauses that must fail for it.
type broken[A any] struct {
	name  string
	open  func() A
	fails []string
	more  bool // others fail too, that build on what is broken
}

// checkSuite runs the clauses against a whole adapter, which must pass, and
// against broken ones. Every clause must be failed by one of these: a clause
// that nothing fails proves nothing.
func checkSuite[A any](t *testing.T, clauses []porttest.Clause[A], whole func() A, table []broken[A]) {
	var mu sync.Mutex
	failed := map[string]bool{}
	t.Run("adapters", func(t *testing.T) {
		for _, b := range append(table, broken[A]{name: "none", open: whole}) {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				var got, said []string
				for _, clause := range clauses {
					if faults := check(t, clause, b.open); len(faults) > 0 {
						got = append(got, clause.Name)
						said = append(said, clause.Name+": "+faults[0])
					}
				}
				mu.Lock()
				for _, name := range got {
					failed[name] = true
				}
				mu.Unlock()
				if b.more {
					got = slices.DeleteFunc(got, func(name string) bool { return !slices.Contains(b.fails, name) })
				}
				slices.Sort(got)
				if diff := cmp.Diff(slices.Sorted(slices.Values(b.fails)), got); diff != "" {
					t.Errorf("clauses it fails (-want +got):\n%s\n%s", diff, strings.Join(said, "\n"))
				}
			})
		}
	})
	for _, clause := range clauses {
		if !failed[clause.Name] {
			t.Errorf("no broken adapter fails the clause %q", clause.Name)
		}
	}
}

// check returns what the clause has to say against the adapter.
func check[A any](t *testing.T, clause porttest.Clause[A], open func() A) (faults []string) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &recorder{TB: t, ctx: ctx, name: clause.Name}
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer r.cleanUp()
			defer cancel()
			r.goroutine = goroutine()
			clause.Check(r, open())
		}()
		<-done
		faults = r.faults
		time.Sleep(time.Hour) // for what a broken adapter has not waited for
	})
	return faults
}

// recorder is a testing.TB that keeps what it is told. Whatever a clause has no
// business with is the real one's.
type recorder struct {
	testing.TB
	ctx       context.Context
	name      string
	goroutine string // the clause's own

	mu       sync.Mutex
	faults   []string
	cleanups []func()
}

func (r *recorder) Helper()                  {}
func (r *recorder) Name() string             { return r.name }
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.faults) > 0
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *recorder) Error(args ...any)                 { r.Errorf("%s", fmt.Sprint(args...)) }
func (r *recorder) Fail()                             { r.Errorf("failed") }
func (r *recorder) Fatal(args ...any)                 { r.Error(args...); r.exit() }
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); r.exit() }
func (r *recorder) FailNow()                          { r.Fail(); r.exit() }

func (r *recorder) exit() {
	if goroutine() != r.goroutine {
		r.TB.Errorf("%s: ended by a goroutine that is not the clause's", r.name)
	}
	runtime.Goexit()
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) cleanUp() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

// goroutine names the calling goroutine, as the first line of its stack does.
func goroutine() string {
	stack := make([]byte, 64)
	line, _, _ := strings.Cut(string(stack[:runtime.Stack(stack, false)]), "[")
	return line
}
