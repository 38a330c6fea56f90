package porttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/ports"
)

// nthAction returns the nth action, which begins n seconds after a time in the recent past;
// ids do not sort as their numbers.
func nthAction(n int) ports.OperatorAction {
	return ports.OperatorAction{
		ID: string(orderID(n)), At: recently.Add(time.Duration(n)*time.Second + 123*time.Millisecond),
		By: "operator " + strconv.Itoa(n%2), Action: []string{"replay", "pause", "forget"}[n%3],
		Target: "target " + strconv.Itoa(n), Reason: "reason " + strconv.Itoa(n), ActionEnd: ports.ActionEnd{Outcome: ports.ActionUnknown},
	}
}

// recently is a time of which no store has forgotten the actions yet.
var recently = time.Now().UTC().Truncate(time.Second).Add(-24 * time.Hour)

// nthEnd returns an end of the nth action.
func nthEnd(n int) ports.ActionEnd {
	end := ports.ActionEnd{EndedAt: nthAction(n).At.Add(time.Duration(n) * time.Millisecond), Outcome: ports.ActionDone, Count: n}
	switch n % 4 {
	case 1, 3:
		end.Outcome, end.Error = ports.ActionFailed, "error "+strconv.Itoa(n)
	case 2:
		end.Error = "stopped after " + strconv.Itoa(n)
	}
	return end
}

func ended(action ports.OperatorAction, end ports.ActionEnd) ports.OperatorAction {
	action.ActionEnd = end
	return action
}

// hardActions returns actions that a server easily changes when it stores or returns them.
func hardActions() []ports.OperatorAction {
	bare, texts, early := ports.OperatorAction{ID: "a", At: nthAction(1).At, ActionEnd: ports.ActionEnd{Outcome: ports.ActionUnknown}}, nthAction(2), nthAction(3)
	texts.ID, texts.By = ` a.b$c/?%2F {"$gt":""} `, "e\u0301 \u00e9 \U0001F6D2 <ann@host> "+strings.Repeat("\u754c", 100)
	texts.Action, texts.Target = "$set", "a.b\n$1 .* \\ \"'"+strings.Repeat("\u754c", 1000)
	texts.Reason = ` {"$ne":""} null 0123` + "\u2028" + strings.Repeat("x", 1000)
	early.At = early.At.Truncate(time.Second)
	return []ports.OperatorAction{bare, texts, early}
}

// begin stores the actions, many at once.
func begin(t testing.TB, store ports.OperatorActions, actions ...ports.OperatorAction) {
	t.Helper()
	forEach(t, actions, func(ctx context.Context, action ports.OperatorAction) error {
		if err := store.Begin(ctx, action); err != nil {
			return fmt.Errorf("begin action %.50q: %w", action.ID, err)
		}
		return nil
	})
}

func end(t testing.TB, store ports.OperatorActions, id string, end ports.ActionEnd) {
	t.Helper()
	must(t, fmt.Sprintf("end action %.50q", id), store.End(bounded(t), id, end))
}

// sortedActions returns the actions in List's order.
func sortedActions(all []ports.OperatorAction) []ports.OperatorAction {
	return slices.SortedFunc(slices.Values(all), func(a, b ports.OperatorAction) int {
		return -cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID))
	})
}

func listerOfActions() lister[OperatorActions, ports.OperatorActionQuery, ports.OperatorAction] {
	const by = "one operator"
	return lister[OperatorActions, ports.OperatorActionQuery, ports.OperatorAction]{
		items:   "actions",
		queries: []ports.OperatorActionQuery{{}, {By: by}, {Action: "replay"}, {From: recently, To: recently.Add(24 * time.Hour)}},
		with: func(query ports.OperatorActionQuery, limit int, cursor string) ports.OperatorActionQuery {
			query.Limit, query.Cursor = limit, cursor
			return query
		},
		fill: func(t testing.TB, o OperatorActions, count int) []ports.OperatorAction {
			all := make([]ports.OperatorAction, count)
			for n := range all {
				all[n] = nthAction(n)
				all[n].By, all[n].Action = by, "replay"
				all[n].At = recently.Add(time.Duration(n*7%count/5) * time.Millisecond)
			}
			begin(t, o.Actions, all...)
			return sortedActions(all)
		},
		page: func(ctx context.Context, o OperatorActions, query ports.OperatorActionQuery) ([]ports.OperatorAction, string, error) {
			page, err := o.Actions.List(ctx, query)
			if err == nil && page.Unreadable != 0 {
				err = fmt.Errorf("%d records count as unreadable, want 0", page.Unreadable)
			}
			return page.Actions, page.NextCursor, err
		},
		check: checkActions,
		id:    func(action ports.OperatorAction) string { return action.ID },
	}
}

// checkActions fails t unless both processes list these actions, in this order.
func checkActions(t testing.TB, o OperatorActions, query ports.OperatorActionQuery, want ...ports.OperatorAction) {
	t.Helper()
	for _, store := range []ports.OperatorActions{o.Actions, o.Other} {
		got := listerOfActions().follow(t, OperatorActions{Actions: store}, query, query.Limit, func() {})
		checkEqual(t, fmt.Sprintf("list %+v", query), want, got)
	}
}

var operatorActionsBegin = []Clause[OperatorActions]{
	{"Begin stores an action that has not ended, with every other field as it is", func(t testing.TB, o OperatorActions) {
		all := hardActions()
		for i, action := range all {
			begin(t, o.Actions, ended(action, nthEnd(i))) // the end is ignored
		}
		checkActions(t, o, ports.OperatorActionQuery{Limit: 10}, sortedActions(all)...)
	}},

	{"Begin of an action that is stored returns ErrExists, and changes nothing", func(t testing.TB, o OperatorActions) {
		kept := ended(nthAction(1), nthEnd(1))
		begin(t, o.Actions, kept)
		end(t, o.Actions, kept.ID, kept.ActionEnd)
		again := nthAction(2)
		again.ID = kept.ID
		for _, action := range []ports.OperatorAction{kept, again} {
			checkError(t, "begin", o.Other.Begin(bounded(t), action), ports.ErrExists, kept.ID)
		}
		checkActions(t, o, ports.OperatorActionQuery{Limit: 10}, kept)
	}},

	{"Begin of one action by many callers succeeds for one of them", func(t testing.TB, o OperatorActions) {
		var all []ports.OperatorAction
		for n := range 16 {
			action := nthAction(n)
			action.ID = "one"
			all = append(all, action)
		}
		winner, fault := onlyOne(t, "begin", len(all), ports.ErrExists, func(ctx context.Context, i int) error {
			return either(i, o.Actions, o.Other).Begin(ctx, all[i])
		})
		if fault != "" {
			t.Fatal(fault)
		}
		checkActions(t, o, ports.OperatorActionQuery{Limit: 10}, all[winner])
	}},

	{"Begin and End with an ended context change nothing", func(t testing.TB, o OperatorActions) {
		kept := nthAction(1)
		begin(t, o.Actions, kept)
		checkEnded(t, "Begin", func(ctx context.Context) error { return o.Actions.Begin(ctx, nthAction(2)) })
		checkEnded(t, "End", func(ctx context.Context) error { return o.Actions.End(ctx, kept.ID, nthEnd(1)) })
		checkActions(t, o, ports.OperatorActionQuery{Limit: 10}, kept)
	}},
}

var operatorActionsEnd = []Clause[OperatorActions]{
	{"End stores how an action has ended, in place of an earlier end, and changes no other", func(t testing.TB, o OperatorActions) {
		all := []ports.OperatorAction{nthAction(3), nthAction(2), nthAction(1), nthAction(0)}
		begin(t, o.Actions, all...)
		for n := range 3 {
			for i := range all[:3] {
				all[i].ActionEnd = nthEnd(i + n)
				end(t, either(n, o.Actions, o.Other), all[i].ID, all[i].ActionEnd)
				end(t, o.Actions, all[i].ID, all[i].ActionEnd) // a second time
			}
			checkActions(t, o, ports.OperatorActionQuery{Limit: 10}, all...)
		}
	}},

	{"End of an unknown action returns ErrNotFound, and stores nothing", func(t testing.TB, o OperatorActions) {
		kept := nthAction(1)
		begin(t, o.Actions, kept)
		for _, id := range []string{"unknown", kept.ID[:35], kept.ID + " ", strings.ToUpper(kept.ID)} {
			checkError(t, "end", o.Other.End(bounded(t), id, nthEnd(2)), ports.ErrNotFound, id)
		}
		checkActions(t, o, ports.OperatorActionQuery{Limit: 10}, kept)
	}},
}

var operatorActionsList = append(listerOfActions().clauses(), []Clause[OperatorActions]{
	{"List sorts actions by their times, the newest first, and by id within one time", func(t testing.TB, o OperatorActions) {
		var all []ports.OperatorAction
		for n, id := range []string{"B", "a", "b", "A", "\u00e4", "z", "a b", "a-b", "ab", "\uffff", "\U0001F6D2"} {
			action := nthAction(n / 8)
			action.ID = id
			all = append(all, action)
		}
		begin(t, o.Actions, all...)
		for _, limit := range []int{1, 3, 100} {
			checkActions(t, o, ports.OperatorActionQuery{Limit: limit}, sortedActions(all)...)
		}
	}},

	{"List returns each action that was stored at the start once, while others begin and end", func(t testing.TB, o OperatorActions) {
		before := listerOfActions().fill(t, o, 25)
		added := 100
		got := listerOfActions().follow(t, o, ports.OperatorActionQuery{}, 4, func() {
			if added >= 140 {
				return
			}
			for range 5 {
				begin(t, o.Other, nthAction(added))
				added++
			}
			end(t, o.Other, before[0].ID, nthEnd(added))
			end(t, o.Other, before[20].ID, nthEnd(added))
		})
		checkVisited(t, ports.OperatorActionQuery{}, listerOfActions().id, got, sortedActions(got), before)
	}},

	{"List returns only actions of the query's kind, operator and period", func(t testing.TB, o OperatorActions) {
		var all []ports.OperatorAction
		for n := range 24 {
			all = append(all, nthAction(n))
		}
		begin(t, o.Actions, all...)
		at := func(n int) time.Time { return nthAction(n).At }
		for _, query := range []ports.OperatorActionQuery{
			{Action: "replay"}, {Action: "Replay"}, {Action: "pause", By: "operator 1"}, {By: "operator 0"}, {By: "operator"}, {By: `{"$ne":""}`},
			{From: at(5)}, {To: at(5)}, {From: at(5), To: at(9)}, {From: at(5).Add(time.Microsecond)}, {To: at(5).Add(time.Microsecond)}, {From: at(9), To: at(5)},
			{Action: "forget", From: at(5), To: at(17)}, {By: "operator 1", To: at(17)}, {Action: "replay", By: "operator 0", From: at(3), To: at(19)},
		} {
			var want []ports.OperatorAction
			for _, action := range sortedActions(all) {
				if (query.Action == "" || action.Action == query.Action) && (query.By == "" || action.By == query.By) &&
					!action.At.Before(query.From) && (query.To.IsZero() || action.At.Before(query.To)) {
					want = append(want, action)
				}
			}
			for _, limit := range []int{1, 3, 100} {
				query.Limit = limit
				checkActions(t, o, query, want...)
			}
		}
	}},

	{"List of actions with an ended context returns its error", func(t testing.TB, o OperatorActions) {
		checkEnded(t, "List", func(ctx context.Context) error {
			return errorOf(o.Actions.List(ctx, ports.OperatorActionQuery{Limit: 10}))
		})
	}},
}...)

var operatorActionsForget = []Clause[OperatorActions]{
	{"after its retention, no method finds an action, and another can have its id", func(t testing.TB, o OperatorActions) {
		now := time.Now().UTC().Truncate(time.Millisecond)
		old, young := nthAction(1), nthAction(2)
		old.At, young.At = now, now.Add(time.Hour) // a clock may be wrong
		begin(t, o.Forgetful, old, young)
		forgetful := OperatorActions{Actions: o.Forgetful, Other: o.Forgetful}
		eventually(t, "the list has forgotten the action", func() bool {
			page, err := o.Forgetful.List(bounded(t), ports.OperatorActionQuery{Limit: 10})
			must(t, "list actions", err)
			return len(page.Actions) == 1
		})
		if kept := time.Since(now); kept < o.Retention {
			t.Errorf("the action was kept for %v, want %v", kept, o.Retention)
		}
		if err := o.Forgetful.End(bounded(t), old.ID, nthEnd(1)); !errors.Is(err, ports.ErrNotFound) {
			t.Errorf("end of a forgotten action: error %v, want an error that wraps %q", err, ports.ErrNotFound)
		}
		old.At = now.Add(2 * time.Hour)
		begin(t, o.Forgetful, old)
		checkActions(t, forgetful, ports.OperatorActionQuery{Limit: 10}, old, young)
	}},
}
