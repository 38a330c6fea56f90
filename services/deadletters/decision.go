package deadletters

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Decision is an operator's decision about dead letters.
type Decision struct {
	Action Action
	By     string // the operator; the store keeps the first 128 visible characters
	DryRun bool   // check whether the action is possible, and change nothing
}

// Action is what a decision does with dead letters.
type Action string

const (
	Replay  Action = "replay"  // put the messages back into the queue
	Discard Action = "discard" // delete the dead letters after ports.DeadLetterRetention
	Restore Action = "restore" // make discarded dead letters wait again
)

var transitions = map[Action]struct{ from, to ports.DeadLetterState }{
	Replay:  {ports.Waiting, ports.Replayed},
	Discard: {ports.Waiting, ports.Discarded},
	Restore: {ports.Discarded, ports.Waiting},
}

// From returns the state from which the action starts.
func (a Action) From() ports.DeadLetterState { return transitions[a].from }

// Past returns the past participle: replayed, discarded or restored.
func (a Action) Past() string { return strings.TrimSuffix(string(a), "e") + "ed" }

// Selection selects the dead letters of a decision. Exactly one field must be set.
type Selection struct {
	IDs     []string
	OrderID domain.OrderID // selects those of the order
	Reason  string         // selects those whose latest reason contains this text
	All     bool
}

// IsValid reports whether exactly one field is set.
func (s Selection) IsValid() bool {
	set := 0
	for _, isSet := range []bool{len(s.IDs) > 0, s.OrderID != "", s.Reason != "", s.All} {
		if isSet {
			set++
		}
	}
	return set == 1
}

// UniqueIDs returns the ids in the store's form, sorted, each once.
func (s Selection) UniqueIDs() []string {
	ids := make([]string, len(s.IDs))
	for i, id := range s.IDs {
		ids[i] = canonical(id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Query returns the query that finds the action's dead letters when IDs is empty.
func (s Selection) Query(action Action) ports.DeadLetterQuery {
	return ports.DeadLetterQuery{State: action.From(), OrderID: s.OrderID, Reason: s.Reason}
}

// ParseState parses the name of a state. An empty name means waiting, "all" means
// every state.
func ParseState(name string) (ports.DeadLetterState, error) {
	state := cmp.Or(ports.DeadLetterState(name), ports.Waiting)
	if name == "all" {
		return "", nil
	}
	if state.Check() != nil {
		return "", errors.New("must be waiting, replayed, discarded or all")
	}
	return state, nil
}
