package porttest_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// failuresAs makes a store that keeps failures as add would have it, which is
// given those that are kept so far, and called by one at a time if the lock is
// one.
func failuresAs(lock sync.Locker, add func(failures []ports.Failure, failure ports.Failure) []ports.Failure) func() porttest.DeadLetters {
	return hoarding(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
		failures := shared[string, []ports.Failure]{}
		f.put = func(ctx context.Context, letter ports.DeadLetter) error {
			if err := whole.Put(ctx, letter); err != nil {
				return err
			}
			lock.Lock()
			defer lock.Unlock()
			there, _ := failures.get(letter.ID)
			failures.set(letter.ID, add(slices.Clone(there), letter.Failures[0]))
			return nil
		}
		f.show(func(letter *ports.DeadLetter) {
			there, _ := failures.get(letter.ID)
			letter.Failures = slices.Clone(there)
		})
		f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
			if there, _ := failures.get(letter.ID); slices.Equal(there, letter.Failures) {
				if kept, err := whole.Get(ctx, letter.ID); err == nil {
					letter.Failures = kept.Failures
				}
			}
			return whole.Settle(ctx, letter, state, by)
		}
	})
}

type noLock struct{}

func (noLock) Lock()   {}
func (noLock) Unlock() {}

// addOnce adds the failure unless it is there.
func addOnce(failures []ports.Failure, failure ports.Failure) []ports.Failure {
	if has(ports.DeadLetter{Failures: failures}, failure) {
		return failures
	}
	return append(failures, failure)
}

func byTime(failures []ports.Failure) []ports.Failure {
	slices.SortFunc(failures, func(a, b ports.Failure) int { return a.LastFailure.Compare(b.LastFailure) })
	return failures
}

func brokenLetterPuts() []broken[porttest.DeadLetters] {
	var table []broken[porttest.DeadLetters]
	for property, lose := range properties {
		table = append(table, broken[porttest.DeadLetters]{name: "a letter's " + property + " is lost", open: showing(lose), fails: []string{
			"Put keeps a letter, and Get returns it with every field as it was put",
		}, more: true})
	}
	return append(table, []broken[porttest.DeadLetters]{
		{name: "a header's name is cut at its dot", open: showing(func(letter *ports.DeadLetter) {
			headers := map[string]string{}
			for _, name := range slices.Sorted(maps.Keys(letter.Headers)) {
				cut, _, _ := strings.Cut(name, ".")
				headers[cut] = letter.Headers[name]
			}
			letter.Headers = headers
		}), fails: []string{
			"Put keeps a letter, and Get returns it with every field as it was put",
		}},

		{name: "what is no character is replaced", open: showing(func(letter *ports.DeadLetter) {
			for name, value := range letter.Headers {
				letter.Headers[name] = strings.ToValidUTF8(value, "?")
			}
		}), fails: []string{
			"Put keeps a letter, and Get returns it with every field as it was put",
		}},

		{name: "a body is cut at 64 KiB", open: showing(func(letter *ports.DeadLetter) {
			letter.Body = letter.Body[:min(len(letter.Body), 64<<10)]
		}), fails: []string{
			"Put keeps a letter, and Get returns it with every field as it was put",
		}},

		{name: "times are not in UTC", open: showing(func(letter *ports.DeadLetter) {
			letter.Since = letter.Since.In(time.FixedZone("CET", 3600))
		}), fails: []string{
			"Put keeps a letter, and Get returns it with every field as it was put",
		}, more: true},

		{name: "Since is when the letter failed last", open: showing(func(letter *ports.DeadLetter) {
			letter.Since = letter.Failures[len(letter.Failures)-1].LastFailure
		}), fails: []string{
			"Put keeps a letter, and Get returns it with every field as it was put",
			"Put of another failure has the letter wait again, whatever was decided",
			"List returns the longest failing letters first, and of one time the lowest id",
		}, more: true},

		{name: "a failure that is put again counts again", open: failuresAs(new(sync.Mutex), func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			failures = byTime(append(failures, failure))
			return failures[max(len(failures)-ports.MaxFailures, 0):]
		}), fails: []string{
			"Put by many at once keeps one letter with every failure",
			"Put of a failure that the letter has already changes nothing, whatever was decided",
		}},

		{name: "a failure that is put again takes the place of the first", open: failuresAs(new(sync.Mutex), func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			failures = slices.DeleteFunc(failures, func(f ports.Failure) bool { return f.LastFailure.Equal(failure.LastFailure) })
			failures = byTime(append(failures, failure))
			return failures[max(len(failures)-ports.MaxFailures, 0):]
		}), fails: []string{
			"Put of a failure that the letter has already changes nothing, whatever was decided",
		}},

		{name: "only the latest failure is known again", open: failuresAs(new(sync.Mutex), func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			if len(failures) > 0 && failures[len(failures)-1].LastFailure.Equal(failure.LastFailure) {
				return failures
			}
			failures = byTime(append(failures, failure))
			return failures[max(len(failures)-ports.MaxFailures, 0):]
		}), fails: []string{
			"Put by many at once keeps one letter with every failure",
			"Put of a failure that the letter has already changes nothing, whatever was decided",
		}},

		{name: "a letter waits again for a failure that it has", open: afterPut(func(ctx context.Context, whole *memory.DeadLetters, before, put ports.DeadLetter) error {
			if !has(before, put.Failures[0]) || before.State == ports.Waiting {
				return nil
			}
			return resettle(ctx, whole, put.ID, ports.Waiting, "")
		}), fails: []string{
			"Put of a failure that the letter has already changes nothing, whatever was decided",
		}},

		{name: "another failure leaves the decision", open: afterPut(func(ctx context.Context, whole *memory.DeadLetters, before, put ports.DeadLetter) error {
			if has(before, put.Failures[0]) || before.State == ports.Waiting {
				return nil
			}
			return resettle(ctx, whole, put.ID, before.State, before.SettledBy)
		}), fails: []string{
			"Put of another failure has the letter wait again, whatever was decided",
			"a letter that waits again is not forgotten",
			"methods of the dead letters may be called from several goroutines at once",
		}},

		{name: "another failure is passed over once the letter was discarded", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				if before, err := whole.Get(ctx, letter.ID); err == nil && before.State == ports.Discarded {
					return nil
				}
				return whole.Put(ctx, letter)
			}
		}), fails: []string{
			"Put of another failure has the letter wait again, whatever was decided",
			"Settle of a letter that has failed again leaves it, and says that it has changed",
			"a letter that waits again is not forgotten",
			"methods of the dead letters may be called from several goroutines at once",
		}},

		{name: "another failure brings its message along", open: hoarding(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			latest := shared[string, ports.DeadLetter]{}
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				err := whole.Put(ctx, letter)
				if err == nil {
					latest.set(letter.ID, cloned(letter))
				}
				return err
			}
			f.show(func(letter *ports.DeadLetter) {
				l, _ := latest.get(letter.ID)
				l = cloned(l)
				letter.MessageID, letter.ContentType, letter.Headers, letter.Body = l.MessageID, l.ContentType, l.Headers, l.Body
			})
		}), fails: []string{
			"Put of another failure adds it, and leaves the message as it was",
		}},

		{name: "another failure takes the place of the one before", open: failuresAs(new(sync.Mutex), func(_ []ports.Failure, failure ports.Failure) []ports.Failure {
			return []ports.Failure{failure}
		}), fails: []string{
			"Put by many at once keeps one letter with every failure",
			"Put of a failure that the letter has already changes nothing, whatever was decided",
			"Put of another failure adds it, and leaves the message as it was",
			"Put of another failure has the letter wait again, whatever was decided",
			"Put, Get and List leave the letters to the caller",
			"methods of the dead letters may be called from several goroutines at once",
			"the latest MaxFailures of a letter's failures stay",
			"the latest of a letter's failures stands last, in whatever order they are put",
		}},

		{name: "failures stay as they were put", open: failuresAs(new(sync.Mutex), func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			failures = addOnce(failures, failure)
			return failures[max(len(failures)-ports.MaxFailures, 0):]
		}), fails: []string{
			"Put by many at once keeps one letter with every failure",
			"the latest of a letter's failures stands last, in whatever order they are put",
		}},

		{name: "every failure stays", open: failuresAs(new(sync.Mutex), func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			return byTime(addOnce(failures, failure))
		}), fails: []string{
			"the latest MaxFailures of a letter's failures stay",
		}},

		{name: "the first failures stay", open: failuresAs(new(sync.Mutex), func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			failures = byTime(addOnce(failures, failure))
			return failures[:min(len(failures), ports.MaxFailures)]
		}), fails: []string{
			"the latest MaxFailures of a letter's failures stay",
		}},

		{name: "one failure fewer stays", open: failuresAs(new(sync.Mutex), func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			failures = byTime(addOnce(failures, failure))
			return failures[max(len(failures)-ports.MaxFailures+1, 0):]
		}), fails: []string{
			"the latest MaxFailures of a letter's failures stay",
		}},

		{name: "Put looks, and then writes", open: failuresAs(noLock{}, func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			time.Sleep(time.Millisecond)
			failures = byTime(addOnce(failures, failure))
			return failures[max(len(failures)-ports.MaxFailures, 0):]
		}), fails: []string{
			"Put by many at once keeps one letter with every failure",
		}},

		{name: "Put beside another fails as if the store were away", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			var busy sync.Mutex
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				if !busy.TryLock() {
					return fmt.Errorf("put dead letter %s: %w", letter.ID, ports.ErrUnavailable)
				}
				defer busy.Unlock()
				time.Sleep(time.Millisecond)
				return whole.Put(ctx, letter)
			}
		}), fails: []string{
			"Put by many at once keeps one letter with every failure",
			"methods of the dead letters may be called from several goroutines at once",
		}, more: true},

		{name: "a letter goes when the context of its Put ends", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			gone := shared[string, bool]{}
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				if err := whole.Put(ctx, letter); err != nil {
					return err
				}
				context.AfterFunc(ctx, func() { gone.set(letter.ID, true) })
				return nil
			}
			f.get = func(ctx context.Context, id string) (ports.DeadLetter, error) {
				if out, _ := gone.get(id); out {
					id += " is gone"
				}
				return whole.Get(ctx, id)
			}
		}), fails: []string{
			"Put keeps the letter although its context ends afterwards",
		}},

		{name: "Put keeps the letter and then fails on an ended context", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				return cmp.Or(whole.Put(context.WithoutCancel(ctx), letter), ctx.Err())
			}
		}), fails: []string{
			"Put with an ended context changes nothing",
		}},

		{name: "Put passes over a letter without a failure", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				if len(letter.Failures) == 0 {
					return ctx.Err()
				}
				return whole.Put(ctx, letter)
			}
		}), fails: []string{
			"Put refuses for good a letter that does not have one failure",
		}},

		{name: "Put makes a failure where there is none", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				if len(letter.Failures) != 1 {
					letter.Failures = []ports.Failure{{Reason: "unknown", LastFailure: time.UnixMilli(0).UTC()}}
				}
				return whole.Put(ctx, letter)
			}
		}), fails: []string{
			"Put refuses for good a letter that does not have one failure",
		}},

		{name: "Put keeps the caller's body", open: hoarding(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			bodies := shared[string, []byte]{}
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				if _, there := bodies.get(letter.ID); !there {
					bodies.set(letter.ID, letter.Body)
				}
				return whole.Put(ctx, letter)
			}
			f.show(func(letter *ports.DeadLetter) {
				body, _ := bodies.get(letter.ID)
				letter.Body = slices.Clone(body)
			})
		}), fails: []string{
			"Put, Get and List leave the letters to the caller",
		}},
	}...)
}
