package porttest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func TestOperatorActionsClauses(t *testing.T) {
	checkSuite(t, porttest.OperatorActionsClauses(), faultyActions(func(*faultyOperatorActions) {}), brokenActions())
}

// faultyOperatorActions is a store of actions with functions instead of methods. A row
// replaces one of them, and calls the store's own method through whole.
type faultyOperatorActions struct {
	whole *memory.OperatorActions
	begin func(ctx context.Context, action ports.OperatorAction) error
	end   func(ctx context.Context, id string, end ports.ActionEnd) error
	list  func(ctx context.Context, query ports.OperatorActionQuery) (ports.OperatorActionPage, error)
}

func (f *faultyOperatorActions) Begin(ctx context.Context, action ports.OperatorAction) error {
	return f.begin(ctx, action)
}

func (f *faultyOperatorActions) End(ctx context.Context, id string, end ports.ActionEnd) error {
	return f.end(ctx, id, end)
}

func (f *faultyOperatorActions) List(ctx context.Context, query ports.OperatorActionQuery) (ports.OperatorActionPage, error) {
	return f.list(ctx, query)
}

// faultyActions makes two stores that breakIt breaks. The second forgets actions after a
// lease.
func faultyActions(breakIt func(f *faultyOperatorActions)) func() porttest.OperatorActions {
	open := func(whole *memory.OperatorActions) *faultyOperatorActions {
		f := &faultyOperatorActions{whole, whole.Begin, whole.End, whole.List}
		breakIt(f)
		return f
	}
	return func() porttest.OperatorActions {
		actions, forgetful := open(new(memory.OperatorActions)), open(&memory.OperatorActions{Retention: lease})
		return porttest.OperatorActions{Actions: actions, Other: actions, Forgetful: forgetful, Retention: lease}
	}
}

// listedActions makes a store that changes each page of its List.
func listedActions(change func(page *ports.OperatorActionPage, query ports.OperatorActionQuery)) func() porttest.OperatorActions {
	return faultyActions(func(f *faultyOperatorActions) { changeResult(&f.list, change) })
}

// askingActions makes a store whose List changes the query.
func askingActions(change func(query *ports.OperatorActionQuery)) func() porttest.OperatorActions {
	return faultyActions(func(f *faultyOperatorActions) { changeArgument(&f.list, change) })
}

func (f *faultyOperatorActions) find(ctx context.Context, id string) (ports.OperatorAction, bool) {
	page, _ := f.whole.List(ctx, ports.OperatorActionQuery{Limit: ports.MaxListLimit})
	i := slices.IndexFunc(page.Actions, func(a ports.OperatorAction) bool { return a.ID == id })
	if i < 0 {
		return ports.OperatorAction{}, false
	}
	return page.Actions[i], true
}

func brokenActions() []broken[porttest.OperatorActions] {
	const (
		stores  = "Begin stores an action that has not ended, with every other field as it is"
		exists  = "Begin of an action that is stored returns ErrExists, and changes nothing"
		callers = "Begin of one action by many callers succeeds for one of them"
		ended   = "Begin and End with an ended context change nothing"
		ends    = "End stores how an action has ended, in place of an earlier end, and changes no other"
		unknown = "End of an unknown action returns ErrNotFound, and stores nothing"
		none    = "List of no actions is one empty page"
		pages   = "List of actions continues after the page before, for pages of any size"
		bounds  = "List of actions replaces a limit that is out of range by the nearer bound"
		cursors = "List of actions refuses a cursor that it did not return"
		newest  = "List sorts actions by their times, the newest first, and by id within one time"
		steady  = "List returns each action that was stored at the start once, while others begin and end"
		filters = "List returns only actions of the query's kind, operator and period"
		late    = "List of actions with an ended context returns its error"
		forgets = "after its retention, no method finds an action, and another can have its id"
		every   = "every clause that lists actions"
	)
	return []broken[porttest.OperatorActions]{
		{"an action loses its reason", stores, every, listedActions(func(page *ports.OperatorActionPage, _ ports.OperatorActionQuery) {
			for i := range page.Actions {
				page.Actions[i].Reason = ""
			}
		})},
		{"a target is cut at 256 bytes", stores, "", listedActions(func(page *ports.OperatorActionPage, _ ports.OperatorActionQuery) {
			for i := range page.Actions {
				page.Actions[i].Target = page.Actions[i].Target[:min(len(page.Actions[i].Target), 256)]
			}
		})},
		{"Begin stores the end", stores, "", faultyActions(func(f *faultyOperatorActions) {
			f.begin = func(ctx context.Context, action ports.OperatorAction) error {
				err := f.whole.Begin(ctx, action)
				if err == nil && action.Outcome == ports.ActionFailed && len(action.Target) > 1000 {
					err = f.whole.End(ctx, action.ID, action.ActionEnd)
				}
				return err
			}
		})},
		{"Begin of a stored action returns nil", exists, "many callers begin one action", faultyActions(func(f *faultyOperatorActions) {
			f.begin = func(ctx context.Context, action ports.OperatorAction) error {
				if err := f.whole.Begin(ctx, action); !errors.Is(err, ports.ErrExists) {
					return err
				}
				return nil
			}
		})},
		{"Begin of a stored action removes its end", exists, "", faultyActions(func(f *faultyOperatorActions) {
			f.begin = func(ctx context.Context, action ports.OperatorAction) error {
				err := f.whole.Begin(ctx, action)
				if errors.Is(err, ports.ErrExists) {
					err = errors.Join(err, f.whole.End(ctx, action.ID, ports.ActionEnd{Outcome: ports.ActionUnknown}))
				}
				return err
			}
		})},
		{"Begin looks, and then writes", callers, "", faultyActions(func(f *faultyOperatorActions) {
			f.begin = func(ctx context.Context, action ports.OperatorAction) error {
				if _, ok := f.find(ctx, action.ID); ok || ctx.Err() != nil {
					return f.whole.Begin(ctx, action)
				}
				time.Sleep(time.Millisecond)
				if err := f.whole.Begin(ctx, action); !errors.Is(err, ports.ErrExists) {
					return err
				}
				return nil
			}
		})},
		{"Begin begins and then fails on an ended context", ended, "", faultyActions(func(f *faultyOperatorActions) { checkContextLast(&f.begin) })},
		{"End ends and then fails on an ended context", ended, "", faultyActions(func(f *faultyOperatorActions) { checkContextLast(&f.end) })},
		{"the first End stays", ends, "", faultyActions(func(f *faultyOperatorActions) {
			f.end = func(ctx context.Context, id string, end ports.ActionEnd) error {
				if action, ok := f.find(ctx, id); ok && !action.EndedAt.IsZero() {
					return ctx.Err()
				}
				return f.whole.End(ctx, id, end)
			}
		})},
		{"End adds the counts", ends, "", faultyActions(func(f *faultyOperatorActions) {
			f.end = func(ctx context.Context, id string, end ports.ActionEnd) error {
				if action, ok := f.find(ctx, id); ok {
					end.Count += action.Count
				}
				return f.whole.End(ctx, id, end)
			}
		})},
		{"End of an unknown action returns nil", unknown, "another clause ends a forgotten action", faultyActions(func(f *faultyOperatorActions) {
			f.end = func(ctx context.Context, id string, end ports.ActionEnd) error {
				if err := f.whole.End(ctx, id, end); !errors.Is(err, ports.ErrNotFound) {
					return err
				}
				return nil
			}
		})},
		{"End finds ids in any case", unknown, "", faultyActions(func(f *faultyOperatorActions) {
			f.end = func(ctx context.Context, id string, end ports.ActionEnd) error {
				return f.whole.End(ctx, strings.ToLower(id), end)
			}
		})},
		{"List of no actions has another page", none, every, listedActions(func(page *ports.OperatorActionPage, query ports.OperatorActionQuery) {
			if len(page.Actions) == 0 && query.Cursor == "" {
				page.NextCursor = "more"
			}
		})},
		{"List skips actions of the same time as the last of a page", pages, "other clauses list actions of one time", faultyActions(func(f *faultyOperatorActions) {
			var lasts shared[string, time.Time]
			f.list = func(ctx context.Context, query ports.OperatorActionQuery) (ports.OperatorActionPage, error) {
				page, err := f.whole.List(ctx, query)
				if len(page.Actions) > 0 {
					lasts.set(page.NextCursor, page.Actions[len(page.Actions)-1].At)
				}
				if last, ok := lasts.get(query.Cursor); ok && query.Cursor != "" {
					page.Actions = slices.DeleteFunc(page.Actions, func(a ports.OperatorAction) bool { return a.At.Equal(last) })
				}
				return page, err
			}
		})},
		{"List refuses a limit above the largest", bounds, "", faultyActions(func(f *faultyOperatorActions) {
			f.list = func(ctx context.Context, query ports.OperatorActionQuery) (ports.OperatorActionPage, error) {
				if query.Limit > ports.MaxListLimit {
					return ports.OperatorActionPage{}, errors.New("too many")
				}
				return f.whole.List(ctx, query)
			}
		})},
		{"List takes a cursor that it can't read for none", cursors, "", faultyActions(func(f *faultyOperatorActions) {
			f.list = func(ctx context.Context, query ports.OperatorActionQuery) (ports.OperatorActionPage, error) {
				page, err := f.whole.List(ctx, query)
				if errors.Is(err, ports.ErrInvalidCursor) {
					query.Cursor = ""
					return f.whole.List(ctx, query)
				}
				return page, err
			}
		})},
		{"List returns the oldest actions first", newest, every, listedActions(func(page *ports.OperatorActionPage, _ ports.OperatorActionQuery) { slices.Reverse(page.Actions) })},
		{"List sorts ids in any case", newest, "", listedActions(func(page *ports.OperatorActionPage, _ ports.OperatorActionQuery) {
			slices.SortStableFunc(page.Actions, func(a, b ports.OperatorAction) int {
				return -cmp.Or(a.At.Compare(b.At), strings.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID)))
			})
		})},
		{"List counts its pages from the newest action", steady, "", faultyActions(func(f *faultyOperatorActions) {
			f.list = func(ctx context.Context, query ports.OperatorActionQuery) (ports.OperatorActionPage, error) {
				all, err := everyPage(func(cursor string) ([]ports.OperatorAction, string, error) {
					all := query
					all.Limit, all.Cursor = ports.MaxListLimit, cursor
					page, err := f.whole.List(ctx, all)
					return page.Actions, page.NextCursor, err
				})
				if err != nil {
					return ports.OperatorActionPage{}, err
				}
				page, next, err := countedPage(all, query.Limit, query.Cursor)
				return ports.OperatorActionPage{Actions: page, NextCursor: next}, err
			}
		})},
		{"List ignores the kind", filters, "", askingActions(func(q *ports.OperatorActionQuery) { q.Action = "" })},
		{"List ignores the operator", filters, "", askingActions(func(q *ports.OperatorActionQuery) { q.By = "" })},
		{"List ignores the period's start", filters, "", askingActions(func(q *ports.OperatorActionQuery) { q.From = time.Time{} })},
		{"List ignores the period's end", filters, "", askingActions(func(q *ports.OperatorActionQuery) { q.To = time.Time{} })},
		{"List truncates the period's start", filters, "", askingActions(func(q *ports.OperatorActionQuery) { q.From = q.From.Truncate(time.Millisecond) })},
		{"List finds kinds in any case", filters, "", askingActions(func(q *ports.OperatorActionQuery) { q.Action = strings.ToLower(q.Action) })},
		{"List ignores its context", late, "", faultyActions(func(f *faultyOperatorActions) { ignoreContext(&f.list) })},
		{"End changes a forgotten action", forgets, "", faultyActions(func(f *faultyOperatorActions) {
			var begun shared[string, bool]
			f.begin = func(ctx context.Context, action ports.OperatorAction) error {
				begun.set(action.ID, true)
				return f.whole.Begin(ctx, action)
			}
			f.end = func(ctx context.Context, id string, end ports.ActionEnd) error {
				err := f.whole.End(ctx, id, end)
				if known, _ := begun.get(id); known && errors.Is(err, ports.ErrNotFound) {
					return nil
				}
				return err
			}
		})},
		{"the id of a forgotten action stays in use", forgets, "", faultyActions(func(f *faultyOperatorActions) {
			var begun shared[string, bool]
			f.begin = func(ctx context.Context, action ports.OperatorAction) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				if _, known := begun.once(action.ID, true); known {
					return fmt.Errorf("begin action %s: %w", action.ID, ports.ErrExists)
				}
				return f.whole.Begin(ctx, action)
			}
		})},
	}
}
