package porttest_test

import (
	"cmp"
	"context"
	"strings"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func brokenLetterReads() []broken[porttest.DeadLetters] {
	return []broken[porttest.DeadLetters]{
		{name: "Get takes the beginning of an id", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.get = func(ctx context.Context, id string) (ports.DeadLetter, error) {
				page, err := whole.List(ctx, ports.DeadLetterQuery{Limit: ports.MaxListLimit})
				if err != nil {
					return ports.DeadLetter{}, err
				}
				for _, letter := range page.Letters {
					if id != "" && strings.HasPrefix(letter.ID, id) {
						id = letter.ID
					}
				}
				return whole.Get(ctx, id)
			}
		}), fails: []string{
			"Get finds no letter under an id that was not put",
			"List returns only letters of the order, where one is asked for",
		}},

		{name: "errors do not say what was attempted", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.get = func(ctx context.Context, id string) (ports.DeadLetter, error) {
				letter, err := whole.Get(ctx, id)
				if err != nil {
					err = cmp.Or(ctx.Err(), ports.ErrNotFound)
				}
				return letter, err
			}
		}), fails: []string{
			"Get finds no letter under an id that was not put",
			"Get, List and Settle find no letter that was settled longer ago than the retention",
			"Put with an ended context changes nothing",
			"Settle of a letter that is not kept finds none",
		}},

		{name: "Get does not look at its context", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.get = func(ctx context.Context, id string) (ports.DeadLetter, error) {
				return whole.Get(context.WithoutCancel(ctx), id)
			}
		}), fails: []string{
			"Get and List of letters with an ended context say so",
		}},

		{name: "List of letters does not look at its context", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				return whole.List(context.WithoutCancel(ctx), query)
			}
		}), fails: []string{
			"Get and List of letters with an ended context say so",
		}},

		{name: "Get hands out its own headers", open: hoarding(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			headers := shared[string, map[string]string]{}
			f.get = func(ctx context.Context, id string) (ports.DeadLetter, error) {
				letter, err := whole.Get(ctx, id)
				if kept, ok := headers.get(id); ok {
					letter.Headers = kept
				} else {
					headers.set(id, letter.Headers)
				}
				return letter, err
			}
		}), fails: []string{
			"Put, Get and List leave the letters to the caller",
		}},

		{name: "List hands out its own failures", open: hoarding(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			lists := shared[string, []ports.Failure]{}
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				page, err := whole.List(ctx, query)
				for i := range page.Letters {
					letter := &page.Letters[i]
					if kept, ok := lists.get(letter.ID); ok && len(kept) == len(letter.Failures) {
						letter.Failures = kept
					} else {
						lists.set(letter.ID, letter.Failures)
					}
				}
				return page, err
			}
		}), fails: []string{
			"Put, Get and List leave the letters to the caller",
		}},
	}
}
