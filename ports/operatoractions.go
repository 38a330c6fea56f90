package ports

import (
	"context"
	"fmt"
	"time"
)

// OperatorActions keeps what operators did, for [OperatorActionRetention]. After that, no
// method finds it.
type OperatorActions interface {
	// Begin stores an action that begins, before anything is done. It ignores how the
	// action ended.
	//
	// ErrExists is returned when an action with this ID is stored. It is unchanged.
	Begin(ctx context.Context, action OperatorAction) error

	// End stores how the action ended, in place of an earlier end, so it may be repeated.
	//
	// ErrNotFound is returned when no action has the ID.
	End(ctx context.Context, id string, end ActionEnd) error

	// List returns one page of the actions that match the query, by At, then by ID, both
	// in descending order. A caller that follows the cursors gets every action that was
	// stored at the start and matches exactly once, even while others begin and end.
	//
	// List skips records that it can't read, logs their ids, and counts them.
	//
	// ErrInvalidCursor is returned when List did not make query.Cursor.
	List(ctx context.Context, query OperatorActionQuery) (OperatorActionPage, error)
}

// OperatorActionRetention is how long a store keeps an action after it began.
const OperatorActionRetention = 365 * 24 * time.Hour

// OperatorAction is what an operator did or began to do. It has no personal data of users.
type OperatorAction struct {
	ID     string
	At     time.Time // when it began: UTC, to the millisecond, as EndedAt
	By     string    // who did it
	Action string    // such as "replay"
	Target string    // what it was done to; may be empty
	Reason string    // why, in the operator's words; may be empty

	ActionEnd
}

// ActionEnd is how an action ended.
type ActionEnd struct {
	EndedAt time.Time // zero: it has not ended
	Outcome ActionOutcome
	Count   int    // how many records it has changed
	Error   string // why it failed, or how it was stopped; empty unless it was
}

// ActionOutcome is what an action came to.
type ActionOutcome string

const (
	ActionDone   ActionOutcome = "done"
	ActionFailed ActionOutcome = "failed" // at least in part

	// ActionUnknown is the outcome of each action that has not ended: it is under way, or
	// its process died.
	ActionUnknown ActionOutcome = "unknown"
)

// Check returns an error unless the outcome is one of the three.
func (o ActionOutcome) Check() error {
	switch o {
	case ActionDone, ActionFailed, ActionUnknown:
		return nil
	}
	return fmt.Errorf("must be %s, %s or %s", ActionDone, ActionFailed, ActionUnknown)
}

// OperatorActionQuery selects actions. Empty fields select all.
type OperatorActionQuery struct {
	Action string
	By     string
	From   time.Time // At is not before it
	To     time.Time // At is before it
	Limit  int       // the page's size, from 1 to MaxListLimit; List replaces other values by the nearer bound
	Cursor string    // NextCursor of the page before; empty: the first page
}

// OperatorActionPage is one page of actions.
type OperatorActionPage struct {
	Actions    []OperatorAction
	NextCursor string // opaque; empty on the last page
	Unreadable int    // records that List skipped
}
