package porttest_test

import (
	"context"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// grouping makes a store that changes the result of its Groups.
func grouping(change func(groups *ports.DeadLetterGroups, query ports.DeadLetterQuery)) func() porttest.DeadLetters {
	return faultyLetters(func(f *faultyDeadLetters) { changeResult(&f.groups, change) })
}

func brokenLetterFilters() []broken[porttest.DeadLetters] {
	const (
		described = "a record has the type and the user of the message's event, unless they break a rule"
		every     = "every clause that gets letters of events"
		filter    = "List returns only letters that match every field of the query"
		groups    = "Groups counts the letters that match by subscription and group of reason, the largest first"
		follows   = "Groups follows a letter that is settled, fails again for another reason, or is forgotten"
		most      = "Groups returns MaxDeadLetterGroups groups, and the total of all"
		retention = "after the retention, Groups does not count a letter"
		ended     = "Groups with an ended context returns its error"
		counts    = "other clauses count groups"
		both      = "Groups follows List"
	)
	return []broken[porttest.DeadLetters]{
		{"a record has no type", described, every, keeping(func(l *ports.DeadLetterRecord) { l.EventType = "" })},
		{"a record has no user", described, every, keeping(func(l *ports.DeadLetterRecord) { l.UserID = "" })},
		{"List ignores the subscription", filter, "", asking(func(q *ports.DeadLetterQuery) { q.Subscription = nil })},
		{"List takes the main queue for all", filter, "", asking(func(q *ports.DeadLetterQuery) {
			if q.Subscription != nil && *q.Subscription == "" {
				q.Subscription = nil
			}
		})},
		{"List ignores the type", filter, "", asking(func(q *ports.DeadLetterQuery) { q.EventType = "" })},
		{"List ignores the user", filter, both, asking(func(q *ports.DeadLetterQuery) { q.UserID = "" })},
		{"List ignores the group", filter, both, asking(func(q *ports.DeadLetterQuery) { q.Group = "" })},
		{"List ignores the period's start", filter, "", asking(func(q *ports.DeadLetterQuery) { q.From = time.Time{} })},
		{"List ignores the period's end", filter, "", asking(func(q *ports.DeadLetterQuery) { q.To = time.Time{} })},
		{"List truncates the period's bounds", filter, "", asking(func(q *ports.DeadLetterQuery) { q.From = q.From.Truncate(time.Millisecond) })},

		{"Groups ignores the query", groups, counts, faultyLetters(func(f *faultyDeadLetters) {
			changeArgument(&f.groups, func(q *ports.DeadLetterQuery) { *q = ports.DeadLetterQuery{} })
		})},
		{"Groups ignores the reason", groups, "", faultyLetters(func(f *faultyDeadLetters) {
			changeArgument(&f.groups, func(q *ports.DeadLetterQuery) { q.Reason = "" })
		})},
		{"Groups returns the smallest first", groups, counts, grouping(func(g *ports.DeadLetterGroups, _ ports.DeadLetterQuery) { slices.Reverse(g.Groups) })},
		{"Groups swaps the oldest and the newest", groups, "", grouping(func(g *ports.DeadLetterGroups, _ ports.DeadLetterQuery) {
			for i := range g.Groups {
				g.Groups[i].Oldest, g.Groups[i].Newest = g.Groups[i].Newest, g.Groups[i].Oldest
			}
		})},
		{"Groups keeps the case of no subscription", groups, "", grouping(func(g *ports.DeadLetterGroups, _ ports.DeadLetterQuery) {
			for i := range g.Groups {
				g.Groups[i].Subscription = strings.ToLower(g.Groups[i].Subscription)
			}
		})},
		{"Groups counts by the first reason", follows, "", hoarding(func(f *faultyDeadLetters) {
			var first shared[string, string]
			f.put = func(ctx context.Context, letter ports.DeadLetter) error {
				first.once(letter.ID, ports.ReasonGroup(letter.Failure.Reason))
				return f.whole.Put(ctx, letter)
			}
			f.groups = func(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterGroups, error) {
				group := query.Group
				query.Group, query.Limit, query.Cursor = "", 1, ""
				groups, err := f.whole.Groups(ctx, query)
				if page, _ := f.whole.List(ctx, query); groups.Total == 1 && len(page.Records) == 1 && len(groups.Groups) == 1 && page.Records[0].LatestFailure().Reason != "" {
					groups.Groups[0].Reason, _ = first.get(page.Records[0].ID)
					if group != "" && groups.Groups[0].Reason != group {
						groups = ports.DeadLetterGroups{}
					}
					return groups, err
				}
				query.Group = group
				return f.whole.Groups(ctx, query)
			}
		})},
		{"Groups returns all groups", most, "", faultyLetters(func(f *faultyDeadLetters) {
			changeResult(&f.groups, func(g *ports.DeadLetterGroups, _ ports.DeadLetterQuery) { g.More = false })
		})},
		{"Groups counts only what it returns", most, "", grouping(func(g *ports.DeadLetterGroups, _ ports.DeadLetterQuery) {
			g.Total = 0
			for _, group := range g.Groups {
				g.Total += group.Count
			}
		})},
		{"Groups remembers the largest total", retention, "", faultyLetters(func(f *faultyDeadLetters) {
			var most shared[string, int]
			changeResult(&f.groups, func(g *ports.DeadLetterGroups, q ports.DeadLetterQuery) {
				if q.Subscription == nil || *q.Subscription != "grouped" {
					return
				}
				before, _ := most.get("")
				g.Total = max(g.Total, before)
				most.set("", g.Total)
			})
		})},
		{"Groups ignores its context", ended, "", faultyLetters(func(f *faultyDeadLetters) { ignoreContext(&f.groups) })},
	}
}
