package porttest_test

import (
	"context"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func brokenForgetting() []broken[porttest.DeadLetters] {
	retaining := func(d time.Duration) func() porttest.DeadLetters {
		return func() porttest.DeadLetters {
			letters, forgetful := new(memory.DeadLetters), &memory.DeadLetters{Retention: d}
			return porttest.DeadLetters{Letters: letters, Other: letters, Forgetful: forgetful, Retention: lease}
		}
	}
	return []broken[porttest.DeadLetters]{
		{name: "a settled letter is forgotten early", open: retaining(lease / 3), fails: []string{
			"a letter that was settled is kept for the retention",
			"the retention counts from the latest settling",
		}},
		{name: "a settled letter is never forgotten", open: retaining(time.Hour), fails: []string{
			"Get, List and Settle find no letter that was settled longer ago than the retention",
			"Put of a letter that was forgotten begins anew",
		}},

		{name: "the retention counts from the first settling", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				if letter.State == ports.Waiting || state == ports.Waiting {
					return whole.Settle(ctx, letter, state, by)
				}
				_, err := whole.Get(ctx, letter.ID)
				return err
			}
		}), fails: []string{
			"SettledBy is who settled the letter last, and not set while it waits",
			"Settle as what is no state is an error, and settles nothing",
			"Settle gives a letter any other state, and changes nothing else of it",
			"Settle of a letter that another has settled leaves it, and says that it has changed",
			"Settle of a letter that has failed again leaves it, and says that it has changed",
			"Settle takes a letter as List returned it",
			"of many that settle a letter at once one does",
			"the retention counts from the latest settling",
		}},

		{name: "a letter that was settled once is forgotten, even if it waits again", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			kept := shared[string, time.Time]{}
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				err := whole.Settle(ctx, letter, state, by)
				if err == nil && state != ports.Waiting {
					kept.set(letter.ID, time.Now().Add(lease))
				}
				return err
			}
			f.get = func(ctx context.Context, id string) (ports.DeadLetter, error) {
				if end, ok := kept.get(id); ok && time.Now().After(end) && whole.Retention > 0 {
					return new(memory.DeadLetters).Get(ctx, id)
				}
				return whole.Get(ctx, id)
			}
		}), fails: []string{
			"Put of a letter that was forgotten begins anew",
			"a letter that waits again is not forgotten",
		}},

		{name: "a letter that was forgotten is still listed", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			var hoard memory.DeadLetters
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				if err := whole.Put(ctx, letter); err != nil {
					return err
				}
				return hoard.Put(ctx, letter)
			}
			f.settle = func(ctx context.Context, letter ports.DeadLetter, state ports.DeadLetterState, by string) error {
				if err := whole.Settle(ctx, letter, state, by); err != nil {
					return err
				}
				return resettle(ctx, &hoard, letter.ID, state, by)
			}
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				page, err := hoard.List(ctx, query)
				for i, letter := range page.Letters {
					if kept, err := whole.Get(ctx, letter.ID); err == nil {
						page.Letters[i].SettledAt = kept.SettledAt
					}
				}
				return page, err
			}
		}), fails: []string{
			"Get, List and Settle find no letter that was settled longer ago than the retention",
		}},

		{name: "Put finds a letter that was forgotten", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			first := shared[string, ports.DeadLetter]{}
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				if old, ok := first.get(letter.ID); ok && ctx.Err() == nil {
					if err := whole.Put(ctx, old); err != nil {
						return err
					}
				} else if ctx.Err() == nil {
					first.set(letter.ID, cloned(letter))
				}
				return whole.Put(ctx, letter)
			}
		}), fails: []string{
			"Put of a letter that was forgotten begins anew",
		}},
	}
}
