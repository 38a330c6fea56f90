package cursor

import (
	"cmp"
	"time"

	"example.com/orderflow/ports"
)

// Action is the place of an operator's action in a list.
type Action struct {
	At time.Time
	ID string
}

// OfAction returns the action's place.
func OfAction(action ports.OperatorAction) Action { return Action{At: action.At, ID: action.ID} }

// Before reports whether a comes before b, newest first.
func (a Action) Before(b Action) bool { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID)) < 0 }

// EncodeAction returns the cursor of the page that starts after a.
func EncodeAction(a Action) string { return EncodeLetter(Letter{Since: a.At, ID: a.ID}) }

// DecodeAction is the inverse of EncodeAction. It returns an error that wraps
// [ports.ErrInvalidCursor] for any other text.
func DecodeAction(s string) (Action, error) {
	l, err := DecodeLetter(s)
	return Action{At: l.Since, ID: l.ID}, err
}
