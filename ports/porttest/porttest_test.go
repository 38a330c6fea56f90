package porttest_test

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/orderflow/ports/porttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const lease = time.Second

// broken is an adapter with one fault.
type broken[A any] struct {
	fault string
	fails string // the clause that must find the fault
	also  string // why other clauses may also find the fault; empty: no other may
	open  func() A
}

// checkSuite runs the clauses against a whole adapter, which must pass, and against
// broken ones, which must fail. For each clause the table must have a fault that it
// finds.
func checkSuite[A any](t *testing.T, clauses []porttest.Clause[A], whole func() A, table []broken[A]) {
	for _, clause := range clauses {
		if !slices.ContainsFunc(table, func(b broken[A]) bool { return b.fails == clause.Name }) {
			t.Errorf("no broken adapter fails the clause %q", clause.Name)
		}
	}
	for _, b := range append(table, broken[A]{fault: "none", open: whole}) {
		t.Run(b.fault, func(t *testing.T) {
			t.Parallel()
			var misses []string
			tries := 3 // some faults show only in some orders of goroutines
			if b.fails == "" {
				tries = 1
			}
			for range tries {
				if misses = checkRow(t, clauses, b); len(misses) == 0 {
					return
				}
			}
			t.Error(strings.Join(misses, "\n"))
		})
	}
}

// checkRow returns in what the clauses differ from what the row says that they find.
func checkRow[A any](t *testing.T, clauses []porttest.Clause[A], b broken[A]) (misses []string) {
	found := b.fails == ""
	var others []string
	for _, clause := range clauses {
		if found && len(others) > 0 && b.also != "" {
			return nil // as the row says, whatever the clauses that are left find
		}
		faults := check(t, clause, b.open)
		switch {
		case len(faults) == 0:
		case clause.Name == b.fails:
			found = true
		case countsAll(clause.Name) && !countsAll(b.fails): // counts show most faults of the calls before
		default:
			others = append(others, clause.Name+": "+faults[0])
		}
	}
	if !found {
		misses = append(misses, fmt.Sprintf("the clause %q does not find the fault", b.fails))
	}
	if (len(others) > 0) != (b.also != "") {
		misses = append(misses, fmt.Sprintf("other clauses find the fault, which the row explains by %q:\n%s", b.also, strings.Join(others, "\n")))
	}
	return misses
}

// countsAll reports whether the clause is about counts of everything.
func countsAll(clause string) bool {
	return strings.HasPrefix(clause, "Account ") || strings.HasPrefix(clause, "Depth ")
}

// check returns the faults that the clause finds.
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
		time.Sleep(time.Hour) // ends goroutines that a broken adapter left running
	})
	return faults
}

// recorder is a testing.TB that keeps failures. Clauses may not call the methods of
// the embedded one.
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
		r.TB.Errorf("%s: a goroutine other than the clause's ended it", r.name)
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

// shared is a map for several goroutines.
type shared[K comparable, V any] struct {
	mu     sync.Mutex
	values map[K]V
}

// do calls f with the map, for one caller at a time.
func (s *shared[K, V]) do(f func(values map[K]V)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[K]V{}
	}
	f(s.values)
}

func (s *shared[K, V]) get(key K) (value V, ok bool) {
	s.do(func(values map[K]V) { value, ok = values[key] })
	return value, ok
}

func (s *shared[K, V]) set(key K, value V) { s.do(func(values map[K]V) { values[key] = value }) }

// once sets the value of the key unless it has one, and returns its value.
func (s *shared[K, V]) once(key K, value V) (kept V, known bool) {
	s.do(func(values map[K]V) {
		if kept, known = values[key]; !known {
			values[key], kept = value, value
		}
	})
	return kept, known
}

// around replaces the function *f by between, which gets the arguments and *f.
func around[F any](f *F, between func(args []reflect.Value, call func([]reflect.Value) []reflect.Value) []reflect.Value) {
	whole := reflect.ValueOf(*f)
	call := whole.Call
	if whole.Type().IsVariadic() {
		call = whole.CallSlice
	}
	*f = reflect.MakeFunc(whole.Type(), func(args []reflect.Value) []reflect.Value { return between(args, call) }).Interface().(F)
}

// ignoreContext makes *f ignore its first argument, a context.
func ignoreContext[F any](f *F) {
	around(f, func(args []reflect.Value, call func([]reflect.Value) []reflect.Value) []reflect.Value {
		args[0] = reflect.ValueOf(context.WithoutCancel(args[0].Interface().(context.Context)))
		return call(args)
	})
}

// checkContextLast makes *f check its context only after its work. If the context has
// ended, *f then returns the context's error.
func checkContextLast[F any](f *F) {
	around(f, func(args []reflect.Value, call func([]reflect.Value) []reflect.Value) []reflect.Value {
		ctx := args[0].Interface().(context.Context)
		args[0] = reflect.ValueOf(context.WithoutCancel(ctx))
		results := call(args)
		if err := ctx.Err(); err != nil {
			results[0] = reflect.Zero(results[0].Type())
			results[len(results)-1] = reflect.ValueOf(&err).Elem()
		}
		return results
	})
}

// changeResult makes *f return a changed result if it succeeds.
func changeResult[A, R any](f *func(context.Context, A) (R, error), change func(result *R, arg A)) {
	whole := *f
	*f = func(ctx context.Context, arg A) (R, error) {
		result, err := whole(ctx, arg)
		if err == nil {
			change(&result, arg)
		}
		return result, err
	}
}

// changeArgument makes *f get a changed argument.
func changeArgument[A, R any](f *func(context.Context, A) (R, error), change func(arg *A)) {
	whole := *f
	*f = func(ctx context.Context, arg A) (R, error) {
		change(&arg)
		return whole(ctx, arg)
	}
}
