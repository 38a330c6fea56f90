package porttest_test

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// listingPage makes a store that changes each page after it was cut.
func listingPage(change func(page *ports.DeadLetterPage, query ports.DeadLetterQuery)) func() porttest.DeadLetters {
	return faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
		f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
			page, err := whole.List(ctx, query)
			if err == nil {
				change(&page, query)
			}
			return page, err
		}
	})
}

// asking makes a store that lists for another query than the caller's.
func asking(change func(query *ports.DeadLetterQuery)) func() porttest.DeadLetters {
	return faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
		f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
			change(&query)
			return whole.List(ctx, query)
		}
	})
}

// matching makes a store that lists those letters of the state whose failures
// match the text.
func matching(match func(failures []ports.Failure, text string) bool) func() porttest.DeadLetters {
	return paging(func(all []ports.DeadLetter, query ports.DeadLetterQuery) []ports.DeadLetter {
		return slices.DeleteFunc(all, func(l ports.DeadLetter) bool { return query.Reason != "" && !match(l.Failures, query.Reason) })
	})
}

// paging makes a store whose pages count from the oldest of those letters of
// the state and the order that pick leaves.
func paging(pick func(all []ports.DeadLetter, query ports.DeadLetterQuery) []ports.DeadLetter) func() porttest.DeadLetters {
	return faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
		f.list = func(ctx context.Context, query ports.DeadLetterQuery) (page ports.DeadLetterPage, err error) {
			const form = "from-%06d"
			from := 0
			if query.Cursor != "" {
				if _, err := fmt.Sscanf(query.Cursor, form, &from); err != nil || query.Cursor != fmt.Sprintf(form, from) {
					return page, fmt.Errorf("list: %w", ports.ErrInvalidCursor)
				}
			}
			var all []ports.DeadLetter
			for next := (ports.DeadLetterQuery{State: query.State, OrderID: query.OrderID, Limit: ports.MaxListLimit}); ; {
				part, err := whole.List(ctx, next)
				if err != nil {
					return page, err
				}
				all = append(all, part.Letters...)
				if next.Cursor = part.NextCursor; next.Cursor == "" {
					break
				}
			}
			all = pick(all, query)
			all = all[min(from, len(all)):]
			limit := min(max(query.Limit, 1), ports.MaxListLimit)
			if len(all) > limit {
				all, page.NextCursor = all[:limit], fmt.Sprintf(form, from+limit)
			}
			page.Letters = all
			return page, nil
		}
	})
}

func latestReason(failures []ports.Failure) string { return failures[len(failures)-1].Reason }

func brokenLetterLists() []broken[porttest.DeadLetters] {
	return []broken[porttest.DeadLetters]{
		{name: "List of nothing has another page", open: listingPage(func(page *ports.DeadLetterPage, query ports.DeadLetterQuery) {
			if len(page.Letters) == 0 && query.Cursor == "" {
				page.NextCursor = "more"
			}
		}), fails: []string{
			"List of no letters is one empty page",
		}, more: true},

		{name: "List returns the latest letters first", open: listingPage(func(page *ports.DeadLetterPage, _ ports.DeadLetterQuery) {
			slices.Reverse(page.Letters)
		}), fails: []string{
			"List returns the longest failing letters first, and of one time the lowest id",
			"List of letters goes on where the page before ended, whatever the size of the pages",
		}, more: true},

		{name: "List knows no order within one time", open: listingPage(func(page *ports.DeadLetterPage, _ ports.DeadLetterQuery) {
			slices.SortStableFunc(page.Letters, func(a, b ports.DeadLetter) int {
				return cmp.Or(a.Since.Compare(b.Since), strings.Compare(b.ID, a.ID))
			})
		}), fails: []string{
			"List returns the longest failing letters first, and of one time the lowest id",
			"List of letters goes on where the page before ended, whatever the size of the pages",
		}, more: true},

		{name: "List sorts ids whatever their case", open: listingPage(func(page *ports.DeadLetterPage, _ ports.DeadLetterQuery) {
			slices.SortStableFunc(page.Letters, func(a, b ports.DeadLetter) int {
				return cmp.Or(a.Since.Compare(b.Since), strings.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID)))
			})
		}), fails: []string{
			"List returns the longest failing letters first, and of one time the lowest id",
		}},

		{name: "List skips letters of the same time as the last of a page", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			ends := shared[string, time.Time]{}
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				page, err := whole.List(ctx, query)
				if len(page.Letters) > 0 {
					ends.set(page.NextCursor, page.Letters[len(page.Letters)-1].Since)
				}
				if end, ok := ends.get(query.Cursor); ok && query.Cursor != "" {
					page.Letters = slices.DeleteFunc(page.Letters, func(l ports.DeadLetter) bool { return l.Since.Equal(end) })
				}
				return page, err
			}
		}), fails: []string{
			"List of letters goes on where the page before ended, whatever the size of the pages",
			"List visits once each letter that is asked for, while others are put and settled",
		}},

		{name: "List counts its pages from the oldest", open: paging(func(all []ports.DeadLetter, query ports.DeadLetterQuery) []ports.DeadLetter {
			return slices.DeleteFunc(all, func(l ports.DeadLetter) bool { return !strings.Contains(latestReason(l.Failures), query.Reason) })
		}), fails: []string{
			"List visits once each letter that is asked for, while others are put and settled",
		}},

		{name: "List pays no heed to the state", open: asking(func(query *ports.DeadLetterQuery) { query.State = "" }), fails: []string{
			"List returns only letters of the state, where one is asked for",
			"List returns only letters of both the state and the text, where both are asked for",
		}, more: true},

		{name: "List returns what waits where no state is asked for", open: asking(func(query *ports.DeadLetterQuery) {
			query.State = cmp.Or(query.State, ports.Waiting)
		}), fails: []string{
			"List returns only letters of the state, where one is asked for",
		}, more: true},

		{name: "List pays no heed to the text", open: asking(func(query *ports.DeadLetterQuery) { query.Reason = "" }), fails: []string{
			"List returns only letters of the order, where one is asked for",
			"List returns only letters of both the state and the text, where both are asked for",
			"List returns only letters whose latest reason contains the text, byte by byte",
			"Put of another failure has the letter wait again, whatever was decided",
			"the latest of a letter's failures stands last, in whatever order they are put",
		}},

		{name: "List takes the text for a pattern", open: matching(func(failures []ports.Failure, text string) bool {
			pattern, err := regexp.Compile(text)
			return err == nil && pattern.MatchString(latestReason(failures))
		}), fails: []string{
			"List returns only letters whose latest reason contains the text, byte by byte",
		}, more: true},

		{name: "List finds a text whatever its case", open: matching(func(failures []ports.Failure, text string) bool {
			return strings.Contains(strings.ToLower(latestReason(failures)), strings.ToLower(text))
		}), fails: []string{
			"List returns only letters whose latest reason contains the text, byte by byte",
		}, more: true},

		{name: "List finds a text in every failure", open: matching(func(failures []ports.Failure, text string) bool {
			return slices.ContainsFunc(failures, func(f ports.Failure) bool { return strings.Contains(f.Reason, text) })
		}), fails: []string{
			"List returns only letters whose latest reason contains the text, byte by byte",
			"the latest of a letter's failures stands last, in whatever order they are put",
		}, more: true},

		{name: "List with a text pays no heed to the state", open: asking(func(query *ports.DeadLetterQuery) {
			if query.Reason != "" {
				query.State = ""
			}
		}), fails: []string{
			"List returns only letters of both the state and the text, where both are asked for",
		}},

		{name: "List pays no heed to the order", open: asking(func(query *ports.DeadLetterQuery) { query.OrderID = "" }), fails: []string{
			"List returns only letters of the order, where one is asked for",
		}},

		{name: "List of an order's letters has one", open: asking(func(query *ports.DeadLetterQuery) {
			if query.OrderID != "" {
				query.OrderID += "-created" // as "-created-" begins no id
			}
		}), fails: []string{
			"List returns only letters of the order, where one is asked for",
		}},

		{name: "List takes every id that begins with the order's", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				order := string(query.OrderID)
				if order != "" {
					query.OrderID, query.Limit = "", ports.MaxListLimit
				}
				page, err := whole.List(ctx, query)
				page.Letters = slices.DeleteFunc(page.Letters, func(l ports.DeadLetter) bool { return !strings.HasPrefix(l.ID, order) })
				return page, err
			}
		}), fails: []string{
			"List returns only letters of the order, where one is asked for",
		}},

		{name: "List of an order's letters pays no heed to the state", open: asking(func(query *ports.DeadLetterQuery) {
			if query.OrderID != "" {
				query.State = ""
			}
		}), fails: []string{
			"List returns only letters of the order, where one is asked for",
		}},

		{name: "List returns whole letters", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				page, err := whole.List(ctx, query)
				for i, letter := range page.Letters {
					if page.Letters[i], err = whole.Get(ctx, letter.ID); err != nil {
						return ports.DeadLetterPage{}, err
					}
				}
				return page, err
			}
		}), fails: []string{
			"List leaves out the message but its id, and nothing else",
		}, more: true},

		{name: "List leaves out the message's id", open: listingPage(func(page *ports.DeadLetterPage, _ ports.DeadLetterQuery) {
			for i := range page.Letters {
				page.Letters[i].MessageID = ""
			}
		}), fails: []string{
			"List leaves out the message but its id, and nothing else",
		}, more: true},

		{name: "List leaves out who has settled", open: listingPage(func(page *ports.DeadLetterPage, _ ports.DeadLetterQuery) {
			for i := range page.Letters {
				page.Letters[i].SettledBy = ""
			}
		}), fails: []string{
			"SettledBy is who settled the letter last, and not set while it waits",
			"List leaves out the message but its id, and nothing else",
		}, more: true},

		{name: "List takes no limit for a limit of 20", open: asking(func(query *ports.DeadLetterQuery) {
			if query.Limit < 1 {
				query.Limit = 20
			}
		}), fails: []string{
			"List of letters takes a limit out of range as the nearer end",
		}},

		{name: "List begins anew at a cursor that it does not know", open: faultyLetters(func(whole *memory.DeadLetters, f *faultyDeadLetters) {
			f.list = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
				page, err := whole.List(ctx, query)
				if err != nil && query.Cursor != "" && ctx.Err() == nil {
					query.Cursor = ""
					return whole.List(ctx, query)
				}
				return page, err
			}
		}), fails: []string{
			"List of letters refuses a cursor that it did not give out",
		}},
	}
}
