package accounts

import (
	"cmp"
	"strings"

	"example.com/orderflow/ports"
)

// Groups are groups of dead letters.
type Groups map[group]*ports.DeadLetterGroup

type group struct{ subscription, reason string }

// Add adds the letters to their group.
func (g Groups) Add(letters ports.DeadLetterGroup) {
	key := group{letters.Subscription, letters.Reason}
	known := g[key]
	if known == nil {
		g[key] = &letters
		return
	}
	known.Count += letters.Count
	if letters.Oldest.Before(known.Oldest) {
		known.Oldest = letters.Oldest
	}
	if letters.Newest.After(known.Newest) {
		known.Newest = letters.Newest
	}
}

// Largest returns the largest groups, as [ports.DeadLetters] returns them.
func (g Groups) Largest() ports.DeadLetterGroups {
	all := ports.DeadLetterGroups{Groups: sorted(g, func(a, b ports.DeadLetterGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Subscription, b.Subscription), strings.Compare(a.Reason, b.Reason))
	})}
	for _, group := range all.Groups {
		all.Total += group.Count
	}
	if len(all.Groups) > ports.MaxDeadLetterGroups {
		all.Groups, all.More = all.Groups[:ports.MaxDeadLetterGroups:ports.MaxDeadLetterGroups], true
	}
	return all
}
