package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// journal knows when each scope was disturbed, which excuses failures, and what
// broke a promise. A scope is a process ("order-1"), its link to a server
// ("order-1 store"), a server ("store"), or one kind of fault.
type journal struct {
	log io.Writer

	mu      sync.Mutex
	windows []*window
	broken  map[promise][]string
}

// window is a time in which scopes were disturbed.
type window struct {
	scopes   []string
	from, to time.Time // to is zero while it lasts
}

// begin opens a window; end closes it.
func (j *journal) begin(what string, scopes ...string) (end func()) {
	w := &window{scopes: scopes, from: time.Now()}
	j.mu.Lock()
	j.windows = append(j.windows, w)
	j.mu.Unlock()
	j.note("%s: %s", scopes[0], what)
	return sync.OnceFunc(func() {
		j.mu.Lock()
		w.to = time.Now()
		j.mu.Unlock()
		j.note("%s: over: %s", scopes[0], what)
	})
}

// note logs a line for the reader of timeline.log.
func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(j.log, "%s  %s\n", time.Now().UTC().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// disturbed reports whether one of the scopes was disturbed at some time between
// from and to.
func (j *journal) disturbed(from, to time.Time, scopes ...string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.windows, func(w *window) bool {
		return !w.from.After(to) && (w.to.IsZero() || !w.to.Before(from)) &&
			slices.ContainsFunc(scopes, func(scope string) bool { return slices.Contains(w.scopes, scope) })
	})
}

// breaks notes what broke the promise, also for the reader of timeline.log.
func (j *journal) breaks(p promise, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	j.note("BROKEN: %s: %s", p, what)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken == nil {
		j.broken = make(map[promise][]string)
	}
	j.broken[p] = append(j.broken[p], what)
}

// writeBroken writes a line for each broken promise, with what broke it first. It belongs
// at the end of the output, where CI keeps it.
func (j *journal) writeBroken(out io.Writer) {
	for _, line := range promises {
		if broken := j.breaches(line); len(broken) > 0 {
			fmt.Fprintf(out, "BROKEN: %s: %s\n", line, strings.Join(strings.Fields(broken[0]), " "))
		}
	}
}

// breaches returns what broke the promise.
func (j *journal) breaches(p promise) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.broken[p])
}

// promise is a line of the report that held or was broken.
type promise string

// promises are all promises, in the report's order.
var promises []promise

func promised(line promise) promise {
	promises = append(promises, line)
	return line
}

// channelPromises are the lines about a channel with receivers.
type channelPromises struct {
	arrives, skips, agrees, once, firstAttempts, noneDead, genuine promise
}

func promisedBy(channel string) channelPromises {
	line := func(text string) promise { return promised(promise(channel + ": " + text)) }
	return channelPromises{
		arrives:       line("each order reaches each recipient that wants it"),
		skips:         line("nobody else gets anything"),
		agrees:        line("the delivery log agrees with the receiver"),
		once:          line("nothing repeats outside the window"),
		firstAttempts: line("only the receiver's refusal costs an attempt"),
		noneDead:      line("no notification is dead"),
		genuine:       line("every message is signed, or has its id"),
	}
}

var (
	answeredIsStored = promised("an order answered with 201 is stored as it was answered")
	storedWasAsked   = promised("every stored order was requested")
	onlyOneOrder     = promised("one request, one order")
	replayIsMarked   = promised("a repeated request is answered as a replay")
	finalAnswer      = promised("a retried request gets a final answer")
	failsForAReason  = promised("a POST fails only if its process or the store does")
	answeredInTime   = promised("no POST takes longer than its timeout and 2 s")
	only201And503    = promised("a POST is answered with 201 or 503")
	saysWhenAgain    = promised("a 503 says when to ask again")
	acceptedAnswered = promised("a stopping service answers every accepted request")

	outboxEmpty       = promised("nothing is left in the outbox")
	queuesEmpty       = promised("nothing is left in the queues")
	drainsInTime      = promised("the backlog drains in time")
	catchesUpInTime   = promised("the backlog is empty in time after the broker's return")
	storedIsNotified  = promised("a stored order is notified")
	sentAsStored      = promised("a notification matches the stored order")
	recordedOnce      = promised("a stored order has one delivery on record")
	recordedAfterSent = promised("a delivery is recorded after it was sent")
	onceOutsideWindow = promised("no notification repeats outside the window")
	poisonParked      = promised("every poison body is a dead letter")
	onlyPoisonParked  = promised("no event is a dead letter")
	onlyFirstAttempts = promised("an outage costs no attempt")

	promisesOf = map[string]channelPromises{
		harness.Email: promisedBy(harness.Email), harness.Webhook: promisedBy(harness.Webhook),
	}
	tellsTheStory = promised("GET /notifications tells the story of an order")
	drainsHeld    = promised("what an absent receiver missed arrives in time after its return")
	slowsNone     = promised("an absent receiver slows no other channel by more than 20 %")

	livesUntilKilled = promised("no process ends by itself")
	stopsWell        = promised("SIGTERM ends a process in time, with status 0")
	logsOnly         = promised("a process writes only its log")
	nothingLeaks     = promised("processes at rest leak no goroutine or connection")
	nothingConnected = promised("no connection is left at the end")

	fileIsSound  = promised("the file is sound, and nothing claimed is left in it")
	listsAll     = promised("the lists have everything that the file has")
	logsNoError  = promised("no process logs an error")
	pickySettled = promised("a rejected notification is one dead letter, no other is")

	faultsMade    = promised("every fault could be made")
	boundariesMet = promised("a process was killed at every boundary")
	placesMet     = promised("the process was killed before, during and after each step")
)

// filePromises are those about a file.
var filePromises = []promise{fileIsSound, listsAll, logsNoError, pickySettled, placesMet}
