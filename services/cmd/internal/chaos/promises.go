package main

import (
	"fmt"
	"slices"
	"sync"
)

// promise is a line of the report that holds or not.
type promise string

const (
	answeredIsStored promise = "an order answered with 201 is stored as it was answered"
	storedWasAsked   promise = "what is stored was asked for"
	onlyOneOrder     promise = "one request, one order"
	replayIsMarked   promise = "a repeated request is answered as a replay"
	finalAnswer      promise = "who asks again gets a final answer"
	failsForAReason  promise = "no POST fails but for its process or the store"
	answeredInTime   promise = "no POST takes longer than its timeout and 2 s"
	only201And503    promise = "a POST is answered with 201 or 503"
	saysWhenAgain    promise = "a 503 says when to ask again"
	acceptedAnswered promise = "a stopping service answers what it has accepted"

	outboxEmpty       promise = "nothing is left in the outbox"
	queuesEmpty       promise = "nothing is left in the queues"
	drainsInTime      promise = "all drains in time"
	catchesUpInTime   promise = "the backlog is empty in time after the broker's return"
	storedIsNotified  promise = "a stored order is notified"
	sentAsStored      promise = "what was sent is the order as stored"
	recordedOnce      promise = "a stored order has one delivery on record"
	recordedAfterSent promise = "what is on record was sent before"
	onceOutsideWindow promise = "no repeat outside the window"
	poisonParked      promise = "every poison body is a dead letter"
	onlyPoisonParked  promise = "no event is a dead letter"
	onlyFirstAttempts promise = "an outage counts as no attempt"

	livesUntilKilled promise = "no process ends by itself"
	stopsWell        promise = "SIGTERM ends a process in time, with status 0"
	logsOnly         promise = "processes write nothing but their logs"
	nothingLeaks     promise = "no goroutine or connection too many at rest"
	nothingConnected promise = "no connection left in the end"

	faultsMade    promise = "every fault could be made"
	boundariesMet promise = "a process was killed at every boundary"
)

// promises are all, as the report has them.
var promises = []promise{
	answeredIsStored, storedWasAsked, onlyOneOrder, replayIsMarked, finalAnswer, failsForAReason, answeredInTime,
	only201And503, saysWhenAgain, acceptedAnswered,
	outboxEmpty, queuesEmpty, drainsInTime, catchesUpInTime, storedIsNotified, sentAsStored, recordedOnce,
	recordedAfterSent, onceOutsideWindow, poisonParked, onlyPoisonParked, onlyFirstAttempts,
	livesUntilKilled, stopsWell, logsOnly, nothingLeaks, nothingConnected,
	faultsMade, boundariesMet,
}

// ledger has what breaks the promises.
type ledger struct {
	mu     sync.Mutex
	broken map[promise][]string
}

func (l *ledger) breaks(p promise, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = make(map[promise][]string)
	}
	l.broken[p] = append(l.broken[p], fmt.Sprintf(format, args...))
}

func (l *ledger) of(p promise) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.broken[p])
}
