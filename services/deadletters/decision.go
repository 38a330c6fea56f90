package deadletters

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/orderflow/ports"
)

// Decision is an operator's decision about dead letters.
type Decision struct {
	Action Action
	By     string // the operator; the store keeps the first 128 visible characters
	Why    string // the operator's reason, for others; may be empty
	DryRun bool   // check whether the action is possible, and change nothing
}

// MaxWhy bounds Decision.Why, in characters.
const MaxWhy = 256

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

// Selection selects the dead letters of a decision: by IDs, by a filter, or all.
type Selection struct {
	IDs []string
	All bool
	Filter
}

// IsValid reports whether exactly one of IDs, All and Filter is set.
func (s Selection) IsValid() bool {
	set := 0
	for _, isSet := range []bool{len(s.IDs) > 0, s.All, s.Filter != Filter{}} {
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
// [*domain.InvalidError] is returned when a field of the filter is wrong.
func (s Selection) Query(action Action) (ports.DeadLetterQuery, error) {
	query, err := s.Filter.Query()
	query.State = action.From()
	return query, err
}

// String returns the selection for people, without personal data.
func (s Selection) String() string {
	const named = 3
	switch ids := s.UniqueIDs(); {
	case len(ids) > named:
		return fmt.Sprintf("%s and %d more", strings.Join(ids[:named], ", "), len(ids)-named)
	case len(ids) > 0:
		return strings.Join(ids, ", ")
	case s.All:
		return "all"
	}
	return s.Filter.String()
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
