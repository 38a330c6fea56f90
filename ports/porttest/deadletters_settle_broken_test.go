package porttest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// settlingAs makes a store whose Settle gets a changed letter. change gets the letter
// that the caller has read, and the current one.
func settlingAs(change func(read *ports.DeadLetterRecord, kept ports.DeadLetterRecord)) func() porttest.DeadLetters {
	return settling(func(f *faultyDeadLetters, ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
		if kept, err := f.whole.Get(ctx, letter.ID); err == nil {
			change(&letter, kept)
		}
		return f.whole.Settle(ctx, letter, state, by)
	})
}

// settlingWith makes a store whose Settle returns another error.
func settlingWith(change func(err error, letter ports.DeadLetterRecord) error) func() porttest.DeadLetters {
	return settling(func(f *faultyDeadLetters, ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
		return change(f.whole.Settle(ctx, letter, state, by), letter)
	})
}

// keepingSettled makes a store that changes settled letters.
func keepingSettled(change func(letter *ports.DeadLetterRecord)) func() porttest.DeadLetters {
	return keeping(func(letter *ports.DeadLetterRecord) {
		if letter.State != ports.Waiting {
			change(letter)
		}
	})
}

// noting makes a store that keeps a note of each Settle, and changes each letter by
// its last note.
func noting[V any](note func(letter ports.DeadLetterRecord, by string) V, change func(letter *ports.DeadLetterRecord, note V)) func() porttest.DeadLetters {
	return hoarding(func(f *faultyDeadLetters) {
		var notes shared[string, V]
		f.settle = func(ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
			err := f.whole.Settle(ctx, letter, state, by)
			if err == nil {
				notes.set(letter.ID, note(letter, by))
			}
			return err
		}
		f.change(func(letter *ports.DeadLetterRecord) {
			if n, ok := notes.get(letter.ID); ok {
				change(letter, n)
			}
		})
	})
}

func brokenSettles() []broken[porttest.DeadLetters] {
	const (
		any     = "Settle gives a letter any other state, and changes nothing else"
		when    = "SettledAt is the time of the last Settle, and zero while the letter waits"
		who     = "SettledBy is the text that the last Settle got, and empty while the letter waits"
		listed  = "Settle takes a letter as List returned it"
		failed  = "Settle leaves a letter that has failed again, and returns ErrChanged"
		another = "Settle leaves a letter that another caller has settled, and returns ErrChanged"
		callers = "Settle by many callers succeeds for one of them"
		every   = "every clause that reads settled letters"
		ways    = "every clause that tries all transitions"
		changes = "other clauses settle changed letters"
	)
	return []broken[porttest.DeadLetters]{
		{"a replayed letter can't be discarded", any, ways, settling(func(f *faultyDeadLetters, ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
			if letter.State == ports.Replayed && state == ports.Discarded && ctx.Err() == nil {
				return fmt.Errorf("settle dead letter %s: %w", letter.ID, ports.ErrChanged)
			}
			return f.whole.Settle(ctx, letter, state, by)
		})},
		{"Settle keeps the letter as the caller has read it", listed, "the fault keeps what Forget has to empty", noting(func(letter ports.DeadLetterRecord, _ string) []byte { return append([]byte{}, letter.Message.Body...) },
			func(letter *ports.DeadLetterRecord, body []byte) { letter.Message.Body = body })},
		{"Settle changes the reason", any, every, keepingSettled(func(letter *ports.DeadLetterRecord) { letter.Failures[0].Reason = "settled" })},

		{"SettledAt is the time of the failure", when, every, keepingSettled(func(letter *ports.DeadLetterRecord) {
			letter.SettledAt = letter.Failures[0].LastFailure
		})},
		{"SettledAt stays while a letter waits again", when, "", hoarding(func(f *faultyDeadLetters) {
			var settled shared[string, time.Time]
			f.settle = func(ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
				if letter.State == ports.Waiting {
					letter.SettledAt = time.Time{}
				}
				err := f.whole.Settle(ctx, letter, state, by)
				if err == nil {
					settled.set(letter.ID, time.Now().UTC().Truncate(time.Millisecond))
				}
				return err
			}
			f.change(func(letter *ports.DeadLetterRecord) {
				if at, ok := settled.get(letter.ID); ok && letter.State == ports.Waiting && len(letter.Failures) == 1 {
					letter.SettledAt = at
				}
			})
		})},
		{"SettledAt is finer than a millisecond", when, every, keepingSettled(func(letter *ports.DeadLetterRecord) {
			letter.SettledAt = letter.SettledAt.Add(time.Microsecond)
		})},
		{"SettledBy is cut at 64 bytes", who, "", settling(func(f *faultyDeadLetters, ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
			return f.whole.Settle(ctx, letter, state, by[:min(len(by), 64)])
		})},
		{"SettledBy is the text that the first Settle got", who, "", hoarding(func(f *faultyDeadLetters) {
			var first shared[string, string]
			f.settle = func(ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
				if before, ok := first.get(letter.ID); ok {
					by = before
				}
				err := f.whole.Settle(ctx, letter, state, by)
				if err == nil && state != ports.Waiting {
					first.set(letter.ID, by)
				}
				return err
			}
		})},
		{"SettledBy stays while a letter waits again", who, "every clause that reads letters that wait again", noting(func(_ ports.DeadLetterRecord, by string) string { return by },
			func(letter *ports.DeadLetterRecord, by string) { letter.SettledBy = by })},
		{"Settle needs the whole letter", listed, "", settling(func(f *faultyDeadLetters, ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
			if kept, err := f.whole.Get(ctx, letter.ID); err == nil && len(letter.Message.Body) != len(kept.Message.Body) {
				return fmt.Errorf("settle dead letter %s: %w", letter.ID, ports.ErrChanged)
			}
			return f.whole.Settle(ctx, letter, state, by)
		})},
		{"Settle ignores changes of the record", another, changes, settlingAs(func(read *ports.DeadLetterRecord, kept ports.DeadLetterRecord) { *read = kept })},

		{"Settle compares the state alone", failed, changes, settlingAs(func(read *ports.DeadLetterRecord, kept ports.DeadLetterRecord) {
			read.Failures, read.SettledAt = kept.Failures, kept.SettledAt
		})},
		{"Settle does not compare the state", another, changes, settlingAs(func(read *ports.DeadLetterRecord, kept ports.DeadLetterRecord) {
			read.State, read.SettledAt = kept.State, kept.SettledAt
		})},
		{"Settle compares the latest failure alone", failed, "", settlingAs(func(read *ports.DeadLetterRecord, kept ports.DeadLetterRecord) {
			if len(read.Failures) > 0 && latestReason(read.Failures) == latestReason(kept.Failures) {
				read.Failures = kept.Failures
			}
		})},
		{"Settle looks, and then settles", callers, "", settling(func(f *faultyDeadLetters, ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
			kept, err := f.whole.Get(ctx, letter.ID)
			if err != nil || kept.State != letter.State || !kept.SettledAt.Equal(letter.SettledAt) || len(kept.Failures) != len(letter.Failures) {
				return f.whole.Settle(ctx, letter, state, by)
			}
			time.Sleep(time.Millisecond)
			return resettle(ctx, f.whole, letter.ID, state, by)
		})},
		{"Settle of a changed letter returns nil", failed, changes, settlingWith(func(err error, _ ports.DeadLetterRecord) error {
			if errors.Is(err, ports.ErrChanged) {
				return nil
			}
			return err
		})},
		{"Settle of an unknown letter returns ErrChanged", "Settle of an unknown letter returns ErrNotFound", "a forgotten letter is unknown too", settlingWith(func(err error, letter ports.DeadLetterRecord) error {
			if errors.Is(err, ports.ErrNotFound) {
				return fmt.Errorf("settle dead letter %s: %w", letter.ID, ports.ErrChanged)
			}
			return err
		})},
		{"Settle settles and then fails on an ended context", "Settle with an ended context settles nothing", "", faultyLetters(func(f *faultyDeadLetters) { checkContextLast(&f.settle) })},
		{"Settle discards a letter for an unknown state", "Settle refuses an unknown state, and changes nothing", "", settling(func(f *faultyDeadLetters, ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
			if state.Check() != nil {
				state = ports.Discarded
			}
			return f.whole.Settle(ctx, letter, state, by)
		})},
	}
}
