package memory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"example.com/orderflow/adapters/internal/cursor"
	"example.com/orderflow/ports"
)

// OperatorActions keeps what operators did. Each call first deletes the actions whose
// retention is over.
type OperatorActions struct {
	Retention time.Duration // 0 or less: ports.OperatorActionRetention

	mu    sync.Mutex
	byID  map[string]ports.OperatorAction
	order timeline[cursor.Action]
}

var _ ports.OperatorActions = (*OperatorActions)(nil)

// begin locks the store for one call, and deletes the actions whose retention is over. If it
// returns no error, the caller unlocks.
func (o *OperatorActions) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.mu.Lock()
	retention := o.Retention
	if retention <= 0 {
		retention = ports.OperatorActionRetention
	}
	for over := time.Now().Add(-retention); ; {
		oldest, ok := o.oldest()
		if !ok || oldest.At.After(over) {
			return nil
		}
		o.order.remove(oldest)
		delete(o.byID, oldest.ID)
	}
}

func (o *OperatorActions) oldest() (cursor.Action, bool) {
	for oldest := range o.order.backward() {
		return oldest, true
	}
	return cursor.Action{}, false
}

// Begin implements [ports.OperatorActions].
func (o *OperatorActions) Begin(ctx context.Context, action ports.OperatorAction) error {
	if err := o.begin(ctx); err != nil {
		return fmt.Errorf("begin action %s: %w", action.ID, err)
	}
	defer o.mu.Unlock()
	if _, ok := o.byID[action.ID]; ok {
		return fmt.Errorf("begin action %s: %w", action.ID, ports.ErrExists)
	}
	if o.byID == nil {
		o.byID = make(map[string]ports.OperatorAction)
	}
	action.ActionEnd = ports.ActionEnd{Outcome: ports.ActionUnknown}
	o.byID[action.ID] = action
	o.order.add(cursor.OfAction(action))
	return nil
}

// End implements [ports.OperatorActions].
func (o *OperatorActions) End(ctx context.Context, id string, end ports.ActionEnd) error {
	if err := o.begin(ctx); err != nil {
		return fmt.Errorf("end action %s: %w", id, err)
	}
	defer o.mu.Unlock()
	action, ok := o.byID[id]
	if !ok {
		return fmt.Errorf("end action %s: %w", id, ports.ErrNotFound)
	}
	action.ActionEnd = end
	o.byID[id] = action
	return nil
}

// List implements [ports.OperatorActions].
func (o *OperatorActions) List(ctx context.Context, query ports.OperatorActionQuery) (page ports.OperatorActionPage, err error) {
	if err := o.begin(ctx); err != nil {
		return page, fmt.Errorf("list actions: %w", err)
	}
	defer o.mu.Unlock()
	limit := min(max(query.Limit, 1), ports.MaxListLimit)
	places := o.order.all()
	if query.Cursor != "" {
		last, err := cursor.DecodeAction(query.Cursor)
		if err != nil {
			return page, fmt.Errorf("list actions: %w", err)
		}
		places = o.order.after(last)
	}
	for at := range places {
		action := o.byID[at.ID]
		if !matchesAction(action, query) {
			continue
		}
		if len(page.Actions) == limit {
			page.NextCursor = cursor.EncodeAction(cursor.OfAction(page.Actions[limit-1]))
			break
		}
		page.Actions = append(page.Actions, action)
	}
	return page, nil
}

func matchesAction(action ports.OperatorAction, query ports.OperatorActionQuery) bool {
	return (query.Action == "" || action.Action == query.Action) && (query.By == "" || action.By == query.By) &&
		isWithin(action.At, query.From, query.To)
}

// isWithin reports whether the time is in the period, whose bounds may be zero.
func isWithin(at, from, to time.Time) bool { return !at.Before(from) && (to.IsZero() || at.Before(to)) }
