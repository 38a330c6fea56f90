package porttest_test

import (
	"cmp"
	"context"
	"strings"

	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// getting makes a store with another Get.
func getting(get func(f *faultyDeadLetters, ctx context.Context, id string) (ports.DeadLetterRecord, error)) func() porttest.DeadLetters {
	return faultyLetters(func(f *faultyDeadLetters) {
		f.get = func(ctx context.Context, id string) (ports.DeadLetterRecord, error) { return get(f, ctx, id) }
	})
}

func brokenLetterReads() []broken[porttest.DeadLetters] {
	const (
		unknown = "Get finds no letter under an unknown id"
		ended   = "Get and List of letters with an ended context return its error"
		memory  = "Put, Get and List of letters share no memory with their caller"
	)
	return []broken[porttest.DeadLetters]{
		{"Get takes the beginning of an id", unknown, "an id begins with an order's in other clauses", getting(func(f *faultyDeadLetters, ctx context.Context, id string) (ports.DeadLetterRecord, error) {
			page, err := f.whole.List(ctx, ports.DeadLetterQuery{Limit: ports.MaxListLimit})
			if err != nil {
				return ports.DeadLetterRecord{}, err
			}
			for _, letter := range page.Records {
				if id != "" && strings.HasPrefix(letter.ID, id) {
					id = letter.ID
				}
			}
			return f.whole.Get(ctx, id)
		})},
		{"errors do not say what was attempted", unknown, "every clause that looks for a missing letter", getting(func(f *faultyDeadLetters, ctx context.Context, id string) (ports.DeadLetterRecord, error) {
			letter, err := f.whole.Get(ctx, id)
			if err != nil {
				err = cmp.Or(ctx.Err(), ports.ErrNotFound)
			}
			return letter, err
		})},
		{"Get ignores its context", ended, "", faultyLetters(func(f *faultyDeadLetters) { ignoreContext(&f.get) })},
		{"List of letters ignores its context", ended, "", faultyLetters(func(f *faultyDeadLetters) { ignoreContext(&f.list) })},
		{"Get returns its own headers", memory, "the fault keeps what Forget has to empty", hoarding(func(f *faultyDeadLetters) {
			var headers shared[string, map[string]string]
			f.get = func(ctx context.Context, id string) (ports.DeadLetterRecord, error) {
				letter, err := f.whole.Get(ctx, id)
				letter.Message.Headers, _ = headers.once(id, letter.Message.Headers)
				return letter, err
			}
		})},
		{"List returns its own failures", memory, "another clause lists a letter that is forgotten", hoarding(func(f *faultyDeadLetters) {
			var lists shared[string, []ports.Failure]
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				page, err := f.whole.List(ctx, query)
				for i := range page.Records {
					letter := &page.Records[i]
					if kept, _ := lists.once(letter.ID, letter.Failures); len(kept) == len(letter.Failures) {
						letter.Failures = kept
					} else {
						lists.set(letter.ID, letter.Failures)
					}
				}
				return page, err
			}
		})},
	}
}
