package memory

import (
	"slices"
	"sort"

	"example.com/orderflow/adapters/internal/cursor"
)

// maxRun keeps an insertion cheap both within a run and among the runs, up to
// some millions of orders.
const maxRun = 512

// timeline keeps the places of orders, newest first, in runs of bounded
// length: one slice would have to shift everything for each new order.
type timeline struct {
	runs [][]cursor.Position // none is empty
}

func (t *timeline) add(p cursor.Position) {
	if len(t.runs) == 0 {
		t.runs = [][]cursor.Position{{p}}
		return
	}
	r, i := t.after(p)
	if i == 0 && r > 0 { // between two runs: the end of the one before is as good
		r--
		i = len(t.runs[r])
	}
	run := slices.Insert(t.runs[r], i, p)
	t.runs[r] = run
	if half := len(run) / 2; len(run) > maxRun {
		t.runs[r] = run[:half:half]
		t.runs = slices.Insert(t.runs, r+1, slices.Clone(run[half:]))
	}
}

// page returns up to limit places that come after p; nil: from the newest.
func (t *timeline) page(p *cursor.Position, limit int) []cursor.Position {
	if t == nil {
		return nil
	}
	r, i := 0, 0
	if p != nil {
		r, i = t.after(*p)
	}
	var places []cursor.Position
	for ; r < len(t.runs) && len(places) < limit; r, i = r+1, 0 {
		run := t.runs[r][i:]
		places = append(places, run[:min(len(run), limit-len(places))]...)
	}
	return places
}

// after returns the run, and the index in it, of the first place after p.
func (t *timeline) after(p cursor.Position) (run, i int) {
	run = sort.Search(len(t.runs), func(r int) bool {
		last := t.runs[r][len(t.runs[r])-1]
		return p.Before(last)
	})
	if run == len(t.runs) {
		return run, 0
	}
	return run, sort.Search(len(t.runs[run]), func(i int) bool { return p.Before(t.runs[run][i]) })
}
