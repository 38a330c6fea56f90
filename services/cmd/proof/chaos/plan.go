package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// fault is a kind of disturbance. A plan sets when it begins, how long it lasts, and
// which of its processes it disturbs.
type fault struct {
	title       string   // in the report
	processes   []string // it disturbs one of them
	needs       string   // server that .ci/services must have started; may be empty
	least, most time.Duration
	make        maker

	at      time.Duration
	process string
	length  time.Duration // until it is over, or the killed process starts again
}

// maker makes the fault and returns when it is over.
type maker func(t *trial, ctx context.Context, f fault) error

func (f fault) String() string {
	text := fmt.Sprintf("%8.1fs  %s", f.at.Seconds(), f.title)
	if f.process != "" {
		text += ", " + f.process
	}
	if f.length > 0 {
		text += fmt.Sprintf(", %.1f s", f.length.Seconds())
	}
	return text
}

const (
	quietTime = 10 * time.Second // at the end of the run

	// From one fault to the next. A long run has longer gaps, because a process has to
	// live long to show a leak.
	usualGap = 3 * time.Second
	mostGaps = 200
)

// draw makes the plan of a run. It depends on its arguments alone. The faults come in
// rounds, in random order. A run of a minute or more has at least one round.
func draw(seed uint64, duration time.Duration, ours func(server string) bool) (plan []fault) {
	r := rand.New(rand.NewPCG(seed, 0))
	round := slices.DeleteFunc(allFaults(), func(f fault) bool { return f.needs != "" && !ours(f.needs) })
	most := duration - quietTime
	gap := min(max(usualGap, duration/mostGaps), most/time.Duration(len(round)))
	for at := gap / 2; at < most; {
		r.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		for _, f := range round {
			f.at = at + time.Duration(r.Int64N(int64(gap))) - gap/2
			if len(f.processes) > 0 {
				f.process = f.processes[r.IntN(len(f.processes))]
			}
			if f.most > 0 {
				// A short run has short faults, or the servers would never be up.
				longest := max(min(f.most, duration/10), f.least+time.Second)
				f.length = (f.least + time.Duration(r.Int64N(int64(longest-f.least)))).Truncate(100 * time.Millisecond)
			}
			if at += gap; f.at < most {
				plan = append(plan, f)
			}
		}
	}
	return plan
}
