package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// journal knows when each scope was disturbed, which excuses failures, and what
// broke a promise. A scope is a process ("order-1"), its link to a server
// ("order-1 store"), or a server ("store").
type journal struct {
	log io.Writer

	mu      sync.Mutex
	windows []*window
	broken  map[promise][]string
}

// window is a time in which a scope was disturbed.
type window struct {
	scope    string
	what     string
	from, to time.Time // to is zero while it lasts
}

// begin opens a window; end closes it.
func (j *journal) begin(scope, what string) (end func()) {
	w := &window{scope: scope, what: what, from: time.Now()}
	j.mu.Lock()
	j.windows = append(j.windows, w)
	j.mu.Unlock()
	j.note("%s: %s", scope, what)
	return sync.OnceFunc(func() {
		j.mu.Lock()
		w.to = time.Now()
		j.mu.Unlock()
		j.note("%s: over: %s", scope, what)
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
	return j.any(func(w *window) bool { return slices.Contains(scopes, w.scope) && w.overlaps(from, to) })
}

// lasted reports whether one of these disturbed the scope at some time between from
// and to.
func (j *journal) lasted(from, to time.Time, scope string, what ...string) bool {
	return j.any(func(w *window) bool { return w.scope == scope && slices.Contains(what, w.what) && w.overlaps(from, to) })
}

// began reports whether this began to disturb the scope between from and to.
func (j *journal) began(from, to time.Time, scope, what string) bool {
	return j.any(func(w *window) bool {
		return w.scope == scope && w.what == what && !w.from.Before(from) && !w.from.After(to)
	})
}

func (w *window) overlaps(from, to time.Time) bool {
	return !w.from.After(to) && (w.to.IsZero() || !w.to.Before(from))
}

func (j *journal) any(match func(*window) bool) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.windows, match)
}

// breaks notes what broke the promise.
func (j *journal) breaks(p promise, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken == nil {
		j.broken = make(map[promise][]string)
	}
	j.broken[p] = append(j.broken[p], fmt.Sprintf(format, args...))
}

// breaches returns what broke the promise.
func (j *journal) breaches(p promise) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.broken[p])
}

// promise is a line of the report that held or was broken.
type promise string

const (
	answeredIsStored promise = "an order answered with 201 is stored as it was answered"
	storedWasAsked   promise = "every stored order was requested"
	onlyOneOrder     promise = "one request, one order"
	replayIsMarked   promise = "a repeated request is answered as a replay"
	finalAnswer      promise = "a retried request gets a final answer"
	failsForAReason  promise = "a POST fails only if its process or the store does"
	answeredInTime   promise = "no POST takes longer than its timeout and 2 s"
	only201And503    promise = "a POST is answered with 201 or 503"
	saysWhenAgain    promise = "a 503 says when to ask again"
	acceptedAnswered promise = "a stopping service answers every accepted request"

	outboxEmpty       promise = "nothing is left in the outbox"
	queuesEmpty       promise = "nothing is left in the queues"
	drainsInTime      promise = "the backlog drains in time"
	catchesUpInTime   promise = "the backlog is empty in time after the broker's return"
	storedIsNotified  promise = "a stored order is notified"
	sentAsStored      promise = "a notification matches the stored order"
	recordedOnce      promise = "a stored order has one delivery on record"
	recordedAfterSent promise = "a delivery is recorded after it was sent"
	onceOutsideWindow promise = "no notification repeats outside the window"
	poisonParked      promise = "every poison body is a dead letter"
	onlyPoisonParked  promise = "no event is a dead letter"
	onlyFirstAttempts promise = "an outage costs no attempt"

	livesUntilKilled promise = "no process ends by itself"
	stopsWell        promise = "SIGTERM ends a process in time, with status 0"
	logsOnly         promise = "a process writes only its log"
	nothingLeaks     promise = "processes at rest leak no goroutine or connection"
	nothingConnected promise = "no connection is left at the end"

	faultsMade    promise = "every fault could be made"
	boundariesMet promise = "a process was killed at every boundary"
)

// promises are all promises, in the report's order.
var promises = []promise{
	answeredIsStored, storedWasAsked, onlyOneOrder, replayIsMarked, finalAnswer, failsForAReason, answeredInTime,
	only201And503, saysWhenAgain, acceptedAnswered,
	outboxEmpty, queuesEmpty, drainsInTime, catchesUpInTime, storedIsNotified, sentAsStored, recordedOnce,
	recordedAfterSent, onceOutsideWindow, poisonParked, onlyPoisonParked, onlyFirstAttempts,
	livesUntilKilled, stopsWell, logsOnly, nothingLeaks, nothingConnected,
	faultsMade, boundariesMet,
}
