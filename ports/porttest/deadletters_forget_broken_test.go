package porttest_test

import (
	"context"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// retaining makes stores whose second forgets settled letters after d, instead of
// the Retention that the clauses get.
func retaining(d time.Duration) func() porttest.DeadLetters {
	return faultyLetters(func(f *faultyDeadLetters) {
		if f.whole.Retention > 0 {
			f.whole.Retention = d
		}
	})
}

func brokenForgetting() []broken[porttest.DeadLetters] {
	const (
		kept      = "a settled letter is kept for the retention"
		latest    = "the retention counts from the latest Settle"
		forgotten = "Get, List and Settle find no letter whose retention has ended"
		anew      = "Put of a forgotten letter stores a new record"
	)
	return []broken[porttest.DeadLetters]{
		{"a settled letter is forgotten early", kept, "the retention of a second Settle ends early too", retaining(lease / 3)},
		{"a settled letter is never forgotten", forgotten, "another clause waits until a letter is forgotten", retaining(time.Hour)},

		{"the retention counts from the first Settle", latest, "a settled letter can't be settled again", settling(func(f *faultyDeadLetters, ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
			if letter.State == ports.Waiting || state == ports.Waiting {
				return f.whole.Settle(ctx, letter, state, by)
			}
			_, err := f.whole.Get(ctx, letter.ID)
			return err
		})},
		{"a letter that was settled once is forgotten although it waits again", "a letter that waits again is not forgotten", "a letter that is put anew was settled too", faultyLetters(func(f *faultyDeadLetters) {
			var ends shared[string, time.Time]
			f.settle = func(ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
				err := f.whole.Settle(ctx, letter, state, by)
				if err == nil && state != ports.Waiting {
					ends.set(letter.ID, time.Now().Add(lease))
				}
				return err
			}
			f.get = func(ctx context.Context, id string) (ports.DeadLetterRecord, error) {
				if end, ok := ends.get(id); ok && time.Now().After(end) && f.whole.Retention > 0 {
					return new(memory.DeadLetters).Get(ctx, id)
				}
				return f.whole.Get(ctx, id)
			}
		})},
		{"a forgotten letter is still listed", forgotten, "the fault keeps what Forget has to empty", faultyLetters(func(f *faultyDeadLetters) {
			var hoard memory.DeadLetters
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				if err := f.whole.Put(ctx, letter); err != nil {
					return err
				}
				return hoard.Put(ctx, letter)
			}
			f.settle = func(ctx context.Context, letter ports.DeadLetterRecord, state ports.DeadLetterState, by string) error {
				if err := f.whole.Settle(ctx, letter, state, by); err != nil {
					return err
				}
				return resettle(ctx, &hoard, letter.ID, state, by)
			}
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				page, err := hoard.List(ctx, query)
				for i, letter := range page.Records {
					if kept, err := f.whole.Get(ctx, letter.ID); err == nil {
						page.Records[i].SettledAt = kept.SettledAt
					}
				}
				return page, err
			}
		})},
		{"Put finds a forgotten letter", anew, "", faultyLetters(func(f *faultyDeadLetters) {
			var first shared[string, ports.DeadLetter]
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				if ctx.Err() == nil {
					if old, known := first.once(letter.ID, cloned(letter)); known {
						if err := f.whole.Put(ctx, old); err != nil {
							return err
						}
					}
				}
				return f.whole.Put(ctx, letter)
			}
		})},
	}
}
