package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// fault is one disturbance at a time of the run.
type fault struct {
	at       time.Duration
	kind     kind
	process  string        // that it disturbs; may be empty
	server   string        // that it disturbs, itself or the process's link to it
	boundary boundary      // of killAtBoundary
	length   time.Duration // until it is over, or the killed process starts again
}

type kind string

const (
	killAtBoundary   kind = "kill -9 at a boundary"
	killAnywhere     kind = "kill -9"
	terminate        kind = "SIGTERM"
	cutLink          kind = "link cut"
	refuseLink       kind = "link refused"
	delayLink        kind = "link delayed"
	swallowLink      kind = "link black-holed"
	restartServer    kind = "restart"
	stopServer       kind = "stop"
	changeLogin      kind = "login changed"
	revokeRights     kind = "rights revoked"
	fillQuota        kind = "quota full"
	alarm            kind = "memory alarm"
	closeConnections kind = "connections closed by the broker"
	duplicate        kind = "event published again by hand"
	poison           kind = "poison"
)

// No fault deletes a queue: its messages would be lost, and nothing promises otherwise.

func (f fault) String() string {
	text := fmt.Sprintf("%8.1fs  %s", f.at.Seconds(), f.title())
	if f.process != "" {
		text += ", " + f.process
	}
	if f.length > 0 {
		text += fmt.Sprintf(", %.1f s", f.length.Seconds())
	}
	return text
}

// title names the fault in the report.
func (f fault) title() string {
	switch {
	case f.kind == killAtBoundary:
		return "kill -9 " + f.boundary.name
	case f.server != "":
		return f.server + " " + string(f.kind)
	}
	return string(f.kind)
}

const (
	instances = 2                // processes of each program
	quietTime = 10 * time.Second // at the end of the run

	// From one fault to the next. A long run has longer gaps, because a process has to
	// live long to show a leak.
	usualGap = 3 * time.Second
	mostGaps = 200
)

func instance(program string, number int) string { return fmt.Sprintf("%s-%d", program, number) }

// draw makes the plan of a run. It depends on its arguments alone. The kinds come in
// rounds, in random order. A run of a minute or more has at least one round.
func draw(seed uint64, duration time.Duration, ours func(server string) bool) []fault {
	r := rand.New(rand.NewPCG(seed, 0))
	most := duration - quietTime
	gap := min(max(usualGap, duration/mostGaps), most/time.Duration(len(round(r, ours))))
	var plan []fault
	for at := gap / 2; at < most; {
		faults := round(r, ours)
		r.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, f := range faults {
			f.at = at + time.Duration(r.Int64N(int64(gap))) - gap/2
			f.length = f.drawLength(r, duration).Truncate(100 * time.Millisecond)
			if at += gap; f.at < most {
				plan = append(plan, f)
			}
		}
	}
	return plan
}

// round returns each kind of fault for each target that makes a difference.
func round(r *rand.Rand, ours func(server string) bool) []fault {
	either := func(program string) string { return instance(program, 1+r.IntN(instances)) }
	oneOfAll := func() string { return either([]string{programOrder, programNotification}[r.IntN(2)]) }
	var faults []fault
	for _, b := range boundaries {
		faults = append(faults, fault{kind: killAtBoundary, boundary: b, process: either(b.program)})
	}
	for _, program := range []string{programOrder, programNotification} {
		faults = append(faults, fault{kind: terminate, process: either(program)})
		for n := range instances {
			faults = append(faults, fault{kind: killAnywhere, process: instance(program, n+1)})
		}
	}
	for _, server := range []string{serverStore, serverBroker} {
		for _, kind := range []kind{cutLink, refuseLink, delayLink, swallowLink} {
			faults = append(faults, fault{kind: kind, process: oneOfAll(), server: server})
		}
		if ours(server) {
			faults = append(faults, fault{kind: restartServer, server: server}, fault{kind: stopServer, server: server})
		}
	}
	for _, kind := range []kind{changeLogin, revokeRights, fillQuota} {
		faults = append(faults, fault{kind: kind, server: serverStore})
	}
	if ours(serverBroker) {
		faults = append(faults, fault{kind: alarm, server: serverBroker}, fault{kind: closeConnections})
	}
	return append(faults, fault{kind: duplicate}, fault{kind: duplicate}, fault{kind: poison}, fault{kind: poison})
}

// drawLength draws how long the fault lasts. A short run has short faults, or the
// servers would never be up.
func (f fault) drawLength(r *rand.Rand, duration time.Duration) time.Duration {
	between := func(least, most time.Duration) time.Duration {
		most = max(min(most, duration/10), least+time.Second)
		return least + time.Duration(r.Int64N(int64(most-least)))
	}
	switch f.kind {
	case killAtBoundary, killAnywhere, terminate:
		return time.Duration(r.Int64N(int64(2 * time.Second)))
	case refuseLink, delayLink, swallowLink:
		return between(time.Second, 20*time.Second)
	case stopServer, changeLogin, revokeRights, fillQuota:
		return between(time.Second, longestStop[f.server])
	case alarm:
		return between(5*time.Second, 20*time.Second)
	}
	return 0
}

var longestStop = map[string]time.Duration{serverStore: 15 * time.Second, serverBroker: 30 * time.Second}
