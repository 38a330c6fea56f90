package porttest_test

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// listedLetters makes a store that changes each page of its List.
func listedLetters(change func(page *ports.DeadLetterPage, query ports.DeadLetterQuery)) func() porttest.DeadLetters {
	return faultyLetters(func(f *faultyDeadLetters) { changeResult(&f.list, change) })
}

// sortingLetters makes a store that sorts each page of its List.
func sortingLetters(compare func(a, b ports.DeadLetterRecord) int) func() porttest.DeadLetters {
	return listedLetters(func(page *ports.DeadLetterPage, _ ports.DeadLetterQuery) {
		slices.SortStableFunc(page.Records, compare)
	})
}

// changingLetters makes a store that changes each letter of its List.
func changingLetters(change func(letter *ports.DeadLetterRecord)) func() porttest.DeadLetters {
	return listedLetters(func(page *ports.DeadLetterPage, _ ports.DeadLetterQuery) {
		for i := range page.Records {
			change(&page.Records[i])
		}
	})
}

// asking makes a store whose List changes the query.
func asking(change func(query *ports.DeadLetterQuery)) func() porttest.DeadLetters {
	return faultyLetters(func(f *faultyDeadLetters) { changeArgument(&f.list, change) })
}

// matching makes a store whose cursors count letters from the oldest. match decides
// which failures have the reason.
func matching(match func(failures []ports.Failure, reason string) bool) func() porttest.DeadLetters {
	return faultyLetters(func(f *faultyDeadLetters) {
		f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
			all, err := everyPage(func(cursor string) ([]ports.DeadLetterRecord, string, error) {
				all := query
				all.Reason, all.Limit, all.Cursor = "", ports.MaxListLimit, cursor
				page, err := f.whole.List(ctx, all)
				return page.Records, page.NextCursor, err
			})
			if err != nil {
				return ports.DeadLetterPage{}, err
			}
			all = slices.DeleteFunc(all, func(l ports.DeadLetterRecord) bool { return query.Reason != "" && !match(l.Failures, query.Reason) })
			page, next, err := countedPage(all, query.Limit, query.Cursor)
			return ports.DeadLetterPage{Records: page, NextCursor: next}, err
		}
	})
}

func brokenLetterLists() []broken[porttest.DeadLetters] {
	const (
		oldest    = "List sorts letters by their first failure, the earliest first, and by id within one time"
		pages     = "List of dead letters continues after the page before, for pages of any size"
		steady    = "List returns each letter that matches throughout once, while others are put and settled"
		state     = "List returns only letters of the state, if the query has one"
		reason    = "List returns only letters whose latest reason contains the query's, byte by byte"
		both      = "List returns only letters of both the state and the reason, if the query has both"
		order     = "List returns only letters of the order, if the query has one"
		bare      = "List omits the message except its id, and nothing else"
		several   = "another clause lists letters by several fields"
		every     = "every clause that lists letters"
		tied      = "other clauses list letters of one time"
		counted   = "the pages count from the oldest letter"
		byState   = "every clause that lists letters of a state"
		byReason  = "every clause that lists letters with a reason"
		countedBy = "the pages count from the oldest letter, and other clauses list letters with a reason"
	)
	compareTimes := func(a, b ports.DeadLetterRecord) int { return a.Since.Compare(b.Since) }
	return []broken[porttest.DeadLetters]{
		{"List of no letters has another page", "List of no dead letters is one empty page", "every clause that lists none", listedLetters(func(page *ports.DeadLetterPage, query ports.DeadLetterQuery) {
			if len(page.Records) == 0 && query.Cursor == "" {
				page.NextCursor = "more"
			}
		})},
		{"List returns the latest letters first", oldest, every, listedLetters(func(page *ports.DeadLetterPage, _ ports.DeadLetterQuery) {
			slices.Reverse(page.Records)
		})},
		{"List returns the highest id of one time first", oldest, tied, sortingLetters(func(a, b ports.DeadLetterRecord) int {
			return cmp.Or(compareTimes(a, b), strings.Compare(b.ID, a.ID))
		})},
		{"List sorts ids in any case", oldest, "", sortingLetters(func(a, b ports.DeadLetterRecord) int {
			return cmp.Or(compareTimes(a, b), strings.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID)))
		})},
		{"List skips letters of the same time as the last of a page", pages, tied, faultyLetters(func(f *faultyDeadLetters) {
			var ends shared[string, time.Time]
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				page, err := f.whole.List(ctx, query)
				if len(page.Records) > 0 {
					ends.set(page.NextCursor, page.Records[len(page.Records)-1].Since)
				}
				if end, ok := ends.get(query.Cursor); ok && query.Cursor != "" {
					page.Records = slices.DeleteFunc(page.Records, func(l ports.DeadLetterRecord) bool { return l.Since.Equal(end) })
				}
				return page, err
			}
		})},
		{"List counts its pages from the oldest letter", steady, "", matching(func(failures []ports.Failure, text string) bool {
			return strings.Contains(latestReason(failures), text)
		})},
		{"List ignores the state", state, byState, asking(func(query *ports.DeadLetterQuery) { query.State = "" })},

		{"List returns waiting letters if the query has no state", state, "every clause that lists settled letters", asking(func(query *ports.DeadLetterQuery) {
			query.State = cmp.Or(query.State, ports.Waiting)
		})},
		{"List ignores the reason", reason, byReason, asking(func(query *ports.DeadLetterQuery) { query.Reason = "" })},

		{"List uses the reason as a pattern", reason, counted, matching(func(failures []ports.Failure, text string) bool {
			pattern, err := regexp.Compile(text)
			return err == nil && pattern.MatchString(latestReason(failures))
		})},
		{"List finds a reason in any case", reason, counted, matching(func(failures []ports.Failure, text string) bool {
			return strings.Contains(strings.ToLower(latestReason(failures)), strings.ToLower(text))
		})},
		{"List finds the reason of every failure", reason, countedBy, matching(func(failures []ports.Failure, text string) bool {
			return slices.ContainsFunc(failures, func(f ports.Failure) bool { return strings.Contains(f.Reason, text) })
		})},
		{"List with a reason ignores the state", both, several, asking(func(query *ports.DeadLetterQuery) {
			if query.Reason != "" {
				query.State = ""
			}
		})},
		{"List ignores the order", order, several, asking(func(query *ports.DeadLetterQuery) { query.OrderID = "" })},

		{"List of an order's letters returns one", order, several, asking(func(query *ports.DeadLetterQuery) {
			if query.OrderID != "" {
				query.OrderID += "-created" // no id begins with "-created-"
			}
		})},
		{"List returns each id that begins with the order's id", order, "", faultyLetters(func(f *faultyDeadLetters) {
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				order := string(query.OrderID)
				if order != "" {
					query.OrderID, query.Limit = "", ports.MaxListLimit
				}
				page, err := f.whole.List(ctx, query)
				page.Records = slices.DeleteFunc(page.Records, func(l ports.DeadLetterRecord) bool { return !strings.HasPrefix(l.ID, order) })
				return page, err
			}
		})},
		{"List of an order's letters ignores the state", order, "", asking(func(query *ports.DeadLetterQuery) {
			if query.OrderID != "" {
				query.State = ""
			}
		})},
		{"List returns whole letters", bare, every, faultyLetters(func(f *faultyDeadLetters) {
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				page, err := f.whole.List(ctx, query)
				for i, letter := range page.Records {
					if page.Records[i], err = f.whole.Get(ctx, letter.ID); err != nil {
						return ports.DeadLetterPage{}, err
					}
				}
				return page, err
			}
		})},
		{"List omits the message's id", bare, every, changingLetters(func(letter *ports.DeadLetterRecord) { letter.Message.ID = "" })},

		{"List omits SettledBy", bare, "every clause that lists settled letters", changingLetters(func(letter *ports.DeadLetterRecord) { letter.SettledBy = "" })},
		{"List uses 20 for a limit of 0", "List of dead letters replaces a limit that is out of range by the nearer bound", "", asking(func(query *ports.DeadLetterQuery) {
			if query.Limit < 1 {
				query.Limit = 20
			}
		})},
		{"List starts anew at an unknown cursor", "List of dead letters refuses a cursor that it did not return", "", faultyLetters(func(f *faultyDeadLetters) {
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				page, err := f.whole.List(ctx, query)
				if err != nil && query.Cursor != "" && ctx.Err() == nil {
					query.Cursor = ""
					return f.whole.List(ctx, query)
				}
				return page, err
			}
		})},
	}
}
