package porttest_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// keepingFailures makes a store that keeps the failures that add returns. add gets
// the failures so far.
func keepingFailures(add func(failures []ports.Failure, failure ports.Failure) []ports.Failure) func() porttest.DeadLetters {
	return keepingFailuresUnder(new(sync.Mutex), add)
}

func keepingFailuresUnder(lock sync.Locker, add func(failures []ports.Failure, failure ports.Failure) []ports.Failure) func() porttest.DeadLetters {
	return hoarding(func(f *faultyDeadLetters) {
		var failures shared[string, []ports.Failure]
		f.put = func(ctx context.Context, letter ports.DeadLetter) error {
			if err := f.whole.Put(ctx, letter); err != nil {
				return err
			}
			lock.Lock()
			defer lock.Unlock()
			there, _ := failures.get(letter.ID)
			failures.set(letter.ID, add(slices.Clone(there), letter.Failure))
			return nil
		}
		f.change(func(letter *ports.DeadLetterRecord) {
			there, _ := failures.get(letter.ID)
			letter.Failures = slices.Clone(there)
		})
		f.settle = func(ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
			if there, _ := failures.get(letter.ID); slices.Equal(there, letter.Failures) {
				if kept, err := f.whole.Get(ctx, letter.ID); err == nil {
					letter.Failures = kept.Failures
				}
			}
			return f.whole.Settle(ctx, letter, state, by)
		}
	})
}

type noLock struct{}

func (noLock) Lock()   {}
func (noLock) Unlock() {}

// addOnce adds the failure unless it is known.
func addOnce(failures []ports.Failure, failure ports.Failure) []ports.Failure {
	if has(failures, failure) {
		return failures
	}
	return append(failures, failure)
}

func byTime(failures []ports.Failure) []ports.Failure {
	slices.SortFunc(failures, func(a, b ports.Failure) int { return a.LastFailure.Compare(b.LastFailure) })
	return failures
}

// latest returns the last count failures.
func latest(count int, failures []ports.Failure) []ports.Failure {
	return failures[max(len(failures)-count, 0):]
}

// deciding makes a store whose Put leaves a known letter in the state that decide
// returns, if it returns one.
func deciding(decide func(before ports.DeadLetterRecord, known bool) (state ports.DeadLetterState, by string)) func() porttest.DeadLetters {
	return putting(func(f *faultyDeadLetters, ctx context.Context, letter ports.DeadLetter) error {
		before, unknown := f.whole.Get(ctx, letter.ID)
		if err := f.whole.Put(ctx, letter); err != nil || unknown != nil {
			return err
		}
		state, by := decide(before, has(before.Failures, letter.Failure))
		if state == "" {
			return nil
		}
		return resettle(ctx, f.whole, letter.ID, state, by)
	})
}

func brokenLetterPuts() []broken[porttest.DeadLetters] {
	const (
		fields  = "Put keeps a letter, and Get returns it with every field as it was put"
		known   = "Put of a known failure changes nothing, in any state"
		adds    = "Put of another failure adds it, and leaves subscription and message as they were"
		waits   = "Put of another failure makes the letter wait again, from any state"
		order   = "Put sorts a letter's failures, the latest last"
		most    = "Put keeps the latest MaxFailures of a letter's failures"
		callers = "Put of one id by many callers keeps one letter with every failure"
		ended   = "Put with an ended context changes nothing"
		every   = "every clause that reads a whole letter"
		repeats = "many callers put the same failure"
		twice   = "other clauses put a letter again"
	)
	var table []broken[porttest.DeadLetters]
	for property, lose := range propertiesOfMessages {
		table = append(table, broken[porttest.DeadLetters]{"a letter loses its " + property, fields, every, keeping(func(record *ports.DeadLetterRecord) { lose(&record.Message) })})
	}
	return append(table, []broken[porttest.DeadLetters]{
		{"a header's name is cut at its dot", fields, "", keeping(func(letter *ports.DeadLetterRecord) {
			headers := map[string]string{}
			for _, name := range slices.Sorted(maps.Keys(letter.Message.Headers)) {
				cut, _, _ := strings.Cut(name, ".")
				headers[cut] = letter.Message.Headers[name]
			}
			letter.Message.Headers = headers
		})},
		{"invalid characters are replaced", fields, "", keeping(func(letter *ports.DeadLetterRecord) {
			for name, value := range letter.Message.Headers {
				letter.Message.Headers[name] = strings.ToValidUTF8(value, "?")
			}
		})},
		{"a body is cut at 64 KiB", fields, "", keeping(func(letter *ports.DeadLetterRecord) {
			letter.Message.Body = letter.Message.Body[:min(len(letter.Message.Body), 64<<10)]
		})},
		{"times are in local time", fields, every, keeping(func(letter *ports.DeadLetterRecord) {
			letter.Since = letter.Since.In(time.FixedZone("CET", 3600))
		})},
		{"Since is the time of the last failure", fields, every, keeping(func(letter *ports.DeadLetterRecord) {
			letter.Since = letter.Failures[len(letter.Failures)-1].LastFailure
		})},
		{"a known failure counts again", known, repeats, keepingFailures(func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			return latest(ports.MaxFailures, byTime(append(failures, failure)))
		})},
		{"a known failure replaces the first one", known, "the fault keeps what Forget has to empty", keepingFailures(func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			failures = slices.DeleteFunc(failures, func(f ports.Failure) bool { return f.LastFailure.Equal(failure.LastFailure) })
			return latest(ports.MaxFailures, byTime(append(failures, failure)))
		})},
		{"only the latest failure is known", known, repeats, keepingFailures(func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			if has(latest(1, failures), failure) {
				return failures
			}
			return latest(ports.MaxFailures, byTime(append(failures, failure)))
		})},
		{"a known failure makes a letter wait again", known, "", deciding(func(before ports.DeadLetterRecord, known bool) (ports.DeadLetterState, string) {
			if known && before.State != ports.Waiting {
				return ports.Waiting, ""
			}
			return "", ""
		})},
		{"another failure leaves the state", waits, "a letter that failed again does not wait", deciding(func(before ports.DeadLetterRecord, known bool) (ports.DeadLetterState, string) {
			if !known && before.State != ports.Waiting {
				return before.State, before.SettledBy
			}
			return "", ""
		})},
		{"another failure of a discarded letter is ignored", waits, "a letter that failed again has not changed", putting(func(f *faultyDeadLetters, ctx context.Context, letter ports.DeadLetter) error {
			if before, err := f.whole.Get(ctx, letter.ID); err == nil && before.State == ports.Discarded {
				return nil
			}
			return f.whole.Put(ctx, letter)
		})},
		{"another failure replaces the message", adds, "the fault keeps what Forget has to empty", hoarding(func(f *faultyDeadLetters) {
			var latest shared[string, ports.DeadLetter]
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				err := f.whole.Put(ctx, letter)
				if err == nil {
					latest.set(letter.ID, cloned(letter))
				}
				return err
			}
			f.change(func(letter *ports.DeadLetterRecord) {
				l, _ := latest.get(letter.ID)
				letter.Message = l.Message.Clone()
			})
		})},
		{"another failure replaces the one before", adds, "every clause that puts several failures", keepingFailures(func(_ []ports.Failure, failure ports.Failure) []ports.Failure {
			return []ports.Failure{failure}
		})},
		{"failures stay in the order in which they were put", order, "many callers put failures in any order", keepingFailures(func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			return latest(ports.MaxFailures, addOnce(failures, failure))
		})},
		{"every failure stays", most, "the fault keeps what Forget has to empty", keepingFailures(func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			return byTime(addOnce(failures, failure))
		})},
		{"the first failures stay", most, "the fault keeps what Forget has to empty", keepingFailures(func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			failures = byTime(addOnce(failures, failure))
			return failures[:min(len(failures), ports.MaxFailures)]
		})},
		{"one failure fewer stays", most, "the fault keeps what Forget has to empty", keepingFailures(func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			return latest(ports.MaxFailures-1, byTime(addOnce(failures, failure)))
		})},
		{"Put looks, and then writes", callers, "the fault keeps what Forget has to empty", keepingFailuresUnder(noLock{}, func(failures []ports.Failure, failure ports.Failure) []ports.Failure {
			time.Sleep(time.Millisecond)
			return latest(ports.MaxFailures, byTime(addOnce(failures, failure)))
		})},
		{"a concurrent Put fails as if the store were unreachable", "the methods of the dead letters may be called from several goroutines at once", "other clauses put many letters at once", faultyLetters(func(f *faultyDeadLetters) {
			var busy sync.Mutex
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				if !busy.TryLock() {
					return fmt.Errorf("put dead letter %s: %w", letter.ID, ports.ErrUnavailable)
				}
				defer busy.Unlock()
				time.Sleep(time.Millisecond)
				return f.whole.Put(ctx, letter)
			}
		})},
		{"a letter goes when the context of its Put ends", "Put keeps the letter although its context ends afterwards", "", faultyLetters(func(f *faultyDeadLetters) {
			var gone shared[string, bool]
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				if err := f.whole.Put(ctx, letter); err != nil {
					return err
				}
				context.AfterFunc(ctx, func() { gone.set(letter.ID, true) })
				return nil
			}
			f.get = func(ctx context.Context, id string) (ports.DeadLetterRecord, error) {
				if out, _ := gone.get(id); out {
					id += " is gone"
				}
				return f.whole.Get(ctx, id)
			}
		})},
		{"Put puts the letter and then fails on an ended context", ended, "", faultyLetters(func(f *faultyDeadLetters) { checkContextLast(&f.put) })},
		{"Put keeps the caller's body", "Put, Get and List of letters share no memory with their caller", "the fault keeps what Forget has to empty", hoarding(func(f *faultyDeadLetters) {
			var bodies shared[string, []byte]
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				bodies.once(letter.ID, letter.Message.Body)
				return f.whole.Put(ctx, letter)
			}
			f.change(func(letter *ports.DeadLetterRecord) {
				body, _ := bodies.get(letter.ID)
				letter.Message.Body = slices.Clone(body)
			})
		})},
	}...)
}
