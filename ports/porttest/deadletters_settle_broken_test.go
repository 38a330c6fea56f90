package porttest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// settling makes a store whose Settle sees the letter as change has it, which
// is given what the caller shows and what is kept.
func settling(change func(shown *ports.DeadLetter, kept ports.DeadLetter)) func() porttest.DeadLetters {
	return faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
		f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
			if kept, err := whole.Get(ctx, letter.ID); err == nil {
				change(&letter, kept)
			}
			return whole.Settle(ctx, letter, state, by)
		}
	})
}

// settlingError makes a store whose Settle returns another error.
func settlingError(change func(err error, letter ports.DeadLetter) error) func() porttest.DeadLetters {
	return faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
		f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
			return change(whole.Settle(ctx, letter, state, by), letter)
		}
	})
}

func brokenSettles() []broken[porttest.DeadLetters] {
	return []broken[porttest.DeadLetters]{
		{name: "what was replayed can't be discarded", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				if letter.State == ports.Replayed && state == ports.Discarded && ctx.Err() == nil {
					return fmt.Errorf("settle dead letter %s: %w", letter.ID, ports.ErrChanged)
				}
				return whole.Settle(ctx, letter, state, by)
			}
		}), fails: []string{
			"SettledBy is who settled the letter last, and not set while it waits",
			"Settle gives a letter any other state, and changes nothing else of it",
			"Settle of a letter that another has settled leaves it, and says that it has changed",
			"Settle takes a letter as List returned it",
			"SettledAt is when the letter was replayed or discarded, and not set while it waits",
			"of many that settle a letter at once one does",
			"the retention counts from the latest settling",
		}},

		{name: "Settle keeps the letter as the caller shows it", open: hoarding(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			bodies := shared[string, []byte]{}
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				err := whole.Settle(ctx, letter, state, by)
				if err == nil {
					bodies.set(letter.ID, append([]byte{}, letter.Body...))
				}
				return err
			}
			f.show(func(letter *ports.DeadLetter) {
				if body, ok := bodies.get(letter.ID); ok {
					letter.Body = body
				}
			})
		}), fails: []string{
			"Settle takes a letter as List returned it",
		}},

		{name: "settling changes the reason", open: showing(func(letter *ports.DeadLetter) {
			if letter.State != ports.Waiting {
				letter.Failures[0].Reason = "settled"
			}
		}), fails: []string{
			"Settle gives a letter any other state, and changes nothing else of it",
		}, more: true},

		{name: "SettledAt is when the letter failed", open: showing(func(letter *ports.DeadLetter) {
			if letter.State != ports.Waiting {
				letter.SettledAt = letter.Failures[0].LastFailure
			}
		}), fails: []string{
			"SettledAt is when the letter was replayed or discarded, and not set while it waits",
		}, more: true},

		{name: "SettledAt stays while a letter waits again", open: hoarding(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			settled := shared[string, time.Time]{}
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				if letter.State == ports.Waiting {
					letter.SettledAt = time.Time{}
				}
				err := whole.Settle(ctx, letter, state, by)
				if err == nil {
					settled.set(letter.ID, time.Now().UTC().Truncate(time.Millisecond))
				}
				return err
			}
			f.show(func(letter *ports.DeadLetter) {
				if at, ok := settled.get(letter.ID); ok && letter.State == ports.Waiting && len(letter.Failures) == 1 {
					letter.SettledAt = at
				}
			})
		}), fails: []string{
			"SettledAt is when the letter was replayed or discarded, and not set while it waits",
		}},

		{name: "SettledAt is finer than a millisecond", open: showing(func(letter *ports.DeadLetter) {
			if letter.State != ports.Waiting {
				letter.SettledAt = letter.SettledAt.Add(time.Microsecond)
			}
		}), fails: []string{
			"SettledAt is when the letter was replayed or discarded, and not set while it waits",
		}, more: true},

		{name: "who settles is cut at 64 bytes", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				return whole.Settle(ctx, letter, state, by[:min(len(by), 64)])
			}
		}), fails: []string{
			"SettledBy is who settled the letter last, and not set while it waits",
		}},

		{name: "the first who settles stays", open: hoarding(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			first := shared[string, string]{}
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				if before, ok := first.get(letter.ID); ok {
					by = before
				}
				err := whole.Settle(ctx, letter, state, by)
				if err == nil && state != ports.Waiting {
					first.set(letter.ID, by)
				}
				return err
			}
		}), fails: []string{
			"SettledBy is who settled the letter last, and not set while it waits",
		}},

		{name: "SettledBy stays while a letter waits again", open: hoarding(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			settledBy := shared[string, string]{}
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				err := whole.Settle(ctx, letter, state, by)
				if err == nil {
					settledBy.set(letter.ID, by)
				}
				return err
			}
			f.show(func(letter *ports.DeadLetter) {
				if by, ok := settledBy.get(letter.ID); ok {
					letter.SettledBy = by
				}
			})
		}), fails: []string{
			"Put of another failure has the letter wait again, whatever was decided",
			"SettledBy is who settled the letter last, and not set while it waits",
			"Settle gives a letter any other state, and changes nothing else of it",
		}, more: true},

		{name: "Settle wants the whole letter", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				if kept, err := whole.Get(ctx, letter.ID); err == nil && len(letter.Body) != len(kept.Body) {
					return fmt.Errorf("settle dead letter %s: %w", letter.ID, ports.ErrChanged)
				}
				return whole.Settle(ctx, letter, state, by)
			}
		}), fails: []string{
			"Settle takes a letter as List returned it",
		}},

		{name: "Settle settles whatever is there", open: settling(func(shown *ports.DeadLetter, kept ports.DeadLetter) {
			*shown = kept
		}), fails: []string{
			"Settle of a letter that another has settled leaves it, and says that it has changed",
			"Settle of a letter that has failed again leaves it, and says that it has changed",
			"of many that settle a letter at once one does",
		}},

		{name: "Settle looks at the state alone", open: settling(func(shown *ports.DeadLetter, kept ports.DeadLetter) {
			shown.Failures, shown.SettledAt = kept.Failures, kept.SettledAt
		}), fails: []string{
			"Settle of a letter that another has settled leaves it, and says that it has changed",
			"Settle of a letter that has failed again leaves it, and says that it has changed",
		}},

		{name: "Settle does not look at the state", open: settling(func(shown *ports.DeadLetter, kept ports.DeadLetter) {
			shown.State, shown.SettledAt = kept.State, kept.SettledAt
		}), fails: []string{
			"Settle of a letter that another has settled leaves it, and says that it has changed",
			"of many that settle a letter at once one does",
		}},

		{name: "Settle looks at the latest failure alone", open: settling(func(shown *ports.DeadLetter, kept ports.DeadLetter) {
			if len(shown.Failures) > 0 && latestReason(shown.Failures) == latestReason(kept.Failures) {
				shown.Failures = kept.Failures
			}
		}), fails: []string{
			"Settle of a letter that has failed again leaves it, and says that it has changed",
		}},

		{name: "Settle looks, and then settles", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				kept, err := whole.Get(ctx, letter.ID)
				if err != nil || kept.State != letter.State || !kept.SettledAt.Equal(letter.SettledAt) || len(kept.Failures) != len(letter.Failures) {
					return whole.Settle(ctx, letter, state, by)
				}
				time.Sleep(time.Millisecond)
				return resettle(ctx, whole, letter.ID, state, by)
			}
		}), fails: []string{
			"of many that settle a letter at once one does",
		}},

		{name: "Settle of what has changed says nothing", open: settlingError(func(err error, _ ports.DeadLetter) error {
			if errors.Is(err, ports.ErrChanged) {
				return nil
			}
			return err
		}), fails: []string{
			"Settle of a letter that another has settled leaves it, and says that it has changed",
			"Settle of a letter that has failed again leaves it, and says that it has changed",
			"of many that settle a letter at once one does",
		}},

		{name: "Settle of what is unknown says that it has changed", open: settlingError(func(err error, letter ports.DeadLetter) error {
			if errors.Is(err, ports.ErrNotFound) {
				return fmt.Errorf("settle dead letter %s: %w", letter.ID, ports.ErrChanged)
			}
			return err
		}), fails: []string{
			"Get, List and Settle find no letter that was settled longer ago than the retention",
			"Settle of a letter that is not kept finds none",
		}},

		{name: "Settle settles and then fails on an ended context", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				return cmp.Or(whole.Settle(context.WithoutCancel(ctx), letter, state, by), ctx.Err())
			}
		}), fails: []string{
			"Settle with an ended context settles nothing",
		}},

		{name: "any state will do", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				if state.Check() != nil {
					state = ports.Discarded
				}
				return whole.Settle(ctx, letter, state, by)
			}
		}), fails: []string{
			"Settle as what is no state is an error, and settles nothing",
		}},
	}
}
