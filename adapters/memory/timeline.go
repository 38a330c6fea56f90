package memory

import (
	"slices"
	"sort"

	"example.com/orderflow/adapters/internal/cursor"
)

// maxRun keeps insertions cheap, both within a run and among the runs, up to some
// millions of orders.
const maxRun = 512

// timeline sorts the positions of orders, newest first, in runs of bounded length.
// One slice would have to move all later positions for each insertion.
type timeline struct {
	runs [][]cursor.Position // none is empty
}

func (t *timeline) add(p cursor.Position) {
	if len(t.runs) == 0 {
		t.runs = [][]cursor.Position{{p}}
		return
	}
	r, i := t.after(p)
	if i == 0 && r > 0 { // between two runs: add to the end of the first
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

// page returns up to limit positions after p, or the newest ones if p is nil.
func (t *timeline) page(p *cursor.Position, limit int) []cursor.Position {
	if t == nil {
		return nil
	}
	r, i := 0, 0
	if p != nil {
		r, i = t.after(*p)
	}
	var page []cursor.Position
	for ; r < len(t.runs) && len(page) < limit; r, i = r+1, 0 {
		run := t.runs[r][i:]
		page = append(page, run[:min(len(run), limit-len(page))]...)
	}
	return page
}

// after returns the run, and the index in it, of the first position after p.
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
