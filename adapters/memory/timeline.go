package memory

import (
	"iter"
	"slices"
	"sort"
)

// maxRun keeps changes cheap, both within a run and among the runs, up to some
// millions of places.
const maxRun = 512

// place is where something stands in a timeline. No two things have the same.
type place[P any] interface{ Before(P) bool }

// timeline sorts places in runs of bounded length. One slice would have to move all
// later places for each change. The nil timeline is empty.
type timeline[P place[P]] struct {
	runs [][]P // none is empty
}

func (t *timeline[P]) add(p P) {
	if len(t.runs) == 0 {
		t.runs = [][]P{{p}}
		return
	}
	r, i := t.find(p)
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

// remove removes the place p, if it is there.
func (t *timeline[P]) remove(p P) {
	if t.empty() {
		return
	}
	r, i := t.find(p)
	if r == len(t.runs) || p.Before(t.runs[r][i]) {
		return
	}
	if t.runs[r] = slices.Delete(t.runs[r], i, i+1); len(t.runs[r]) == 0 {
		t.runs = slices.Delete(t.runs, r, r+1)
	}
}

func (t *timeline[P]) empty() bool { return t == nil || len(t.runs) == 0 }

func (t *timeline[P]) len() (n int) {
	for _, run := range t.runs {
		n += len(run)
	}
	return n
}

// all returns the places in their order.
func (t *timeline[P]) all() iter.Seq[P] { return t.forward(0, 0) }

// after returns the places after p, in their order.
func (t *timeline[P]) after(p P) iter.Seq[P] {
	if t.empty() {
		return t.all()
	}
	r, i := t.find(p)
	if r < len(t.runs) && !p.Before(t.runs[r][i]) {
		i++
	}
	return t.forward(r, i)
}

// backward returns the places in reverse.
func (t *timeline[P]) backward() iter.Seq[P] {
	if t.empty() {
		return t.all()
	}
	return t.reverse(len(t.runs), 0)
}

// before returns the places before p, in reverse.
func (t *timeline[P]) before(p P) iter.Seq[P] {
	if t.empty() {
		return t.all()
	}
	return t.reverse(t.find(p))
}

// forward returns the places from this one on.
func (t *timeline[P]) forward(r, i int) iter.Seq[P] {
	return func(yield func(P) bool) {
		if t == nil {
			return
		}
		for r, i := r, i; r < len(t.runs); r, i = r+1, 0 {
			for _, p := range t.runs[r][i:] {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// reverse returns the places before this one, in reverse.
func (t *timeline[P]) reverse(r, i int) iter.Seq[P] {
	return func(yield func(P) bool) {
		for r, i := r, i; ; i-- {
			if i == 0 {
				if r == 0 {
					return
				}
				r--
				i = len(t.runs[r])
			}
			if !yield(t.runs[r][i-1]) {
				return
			}
		}
	}
}

// find returns the run of p, and its index there, or those of the first place after
// it. If all places are before p, the run does not exist.
func (t *timeline[P]) find(p P) (run, i int) {
	run = sort.Search(len(t.runs), func(r int) bool {
		last := t.runs[r][len(t.runs[r])-1]
		return !last.Before(p)
	})
	if run == len(t.runs) {
		return run, 0
	}
	return run, sort.Search(len(t.runs[run]), func(i int) bool { return !t.runs[run][i].Before(p) })
}
