package main

import (
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// answerLag bounds the time from an arrival to the end of its answer, and the time in
// which a link passes on what it has held back.
const answerLag = 3 * time.Second

// channelFigures count what a channel has sent.
type channelFigures struct {
	wanted, arrived, skipped int
	repeats                  map[cause]int
	refusals                 int
}

// cause is why a notification was repeated.
type cause string

const (
	byKill       cause = "after a notifier was killed"
	byLostAnswer cause = "after an answer was lost"
	byLostStore  cause = "while the store was unavailable"
	byNothing    cause = "outside the window"
)

var causes = []cause{byKill, byLostAnswer, byLostStore, byNothing}

// settleChannels accounts for each recipient of each order. Orders that are older than
// the channels' queues may be unknown to the channels.
func (a *account) settleChannels(orders map[string]storedOrder) {
	records := make(map[string]record, len(a.records))
	for _, r := range a.records {
		if r.ID.Recipient != "" {
			records[r.ID.EventID+"."+r.ID.Channel+"."+r.ID.Recipient] = r
		}
	}
	a.channels = make(map[string]*channelFigures)
	for _, channel := range channels {
		a.channels[channel] = &channelFigures{repeats: make(map[cause]int)}
		for _, fault := range a.arrivalFaults[channel] {
			a.breaks(promisesOf[channel].genuine, "%s", fault)
		}
	}
	known := make(map[string]bool)
	for _, r := range recipients {
		for id, o := range orders {
			key := r.key(id)
			known[key] = true
			recorded, there := records[key]
			got := a.arrivals[r.channel][key]
			if there || len(got.Times) > 0 || o.CreatedAt.After(a.since) {
				a.settleRecipient(r, o, recorded, there, got)
			}
		}
	}
	for _, channel := range channels {
		for key := range a.arrivals[channel] {
			if !known[key] {
				a.breaks(promisesOf[channel].skips, "%s belongs to no order", key)
			}
		}
	}
}

func (a *account) settleRecipient(r recipient, o storedOrder, recorded record, there bool, got harness.Arrival) {
	promise, count := promisesOf[r.channel], a.channels[r.channel]
	key, arrived := r.key(o.ID), len(got.Times) > 0
	count.refusals += got.Refused
	if arrived && got.To != r.address(o.UserID) {
		a.breaks(promise.skips, "%s went to %s, want %s", key, got.To, r.address(o.UserID))
	}
	if !r.wants(o.UserID) {
		count.skipped++
		if arrived {
			a.breaks(promise.skips, "%s arrived at %v", key, got.Times)
		}
		if there && recorded.State != "skipped" || !there {
			a.breaks(promise.agrees, "%s is not wanted; its record (%v) is %q", key, there, recorded.State)
		}
		return
	}
	count.wanted++
	if arrived {
		count.arrived++
	} else {
		a.lost = append(a.lost, o.CreatedAt)
		a.breaks(promise.arrives, "%s did not arrive; its record (%v) is %q: %s", key, there, recorded.State, recorded.Reason)
	}
	switch {
	case there && recorded.State == "dead":
		a.breaks(promise.noneDead, "%s: %s", key, recorded.Reason)
	case !arrived:
	case !there || recorded.State != "":
		a.breaks(promise.agrees, "%s arrived at %v; its record (%v) is %q", key, got.Times, there, recorded.State)
	default:
		a.settleAgain(r.channel, key, got.Times, recorded.SentAt)
		// A refusal whose answer was lost does not count.
		if refused := recorded.Attempt - 1; refused < 0 || refused > got.Refused {
			a.breaks(promise.firstAttempts, "%s: sent at attempt %d, refused %d times", key, recorded.Attempt, got.Refused)
		}
	}
}

// settleAgain judges the arrivals of a notification, oldest first, as settleRepeats
// judges sends. The receivers don't know from which notifier they came.
func (a *account) settleAgain(channel, key string, arrived []time.Time, recorded time.Time) {
	latest := recorded.Add(time.Millisecond)
	kept := -1 // index of the recorded arrival
	for kept+1 < len(arrived) && !arrived[kept+1].After(latest) {
		kept++
	}
	if kept < 0 {
		a.breaks(promisesOf[channel].agrees, "%s: recorded at %v, arrived at %v", key, recorded, arrived)
		kept = 0
	}
	judge := func(at time.Time, cause cause) {
		if a.hadRecorded(key, arrived[len(arrived)-1]) {
			cause = byNothing
		}
		a.repeated = append(a.repeated, at)
		a.channels[channel].repeats[cause]++
		if cause == byNothing {
			a.breaks(promisesOf[channel].once, "%s: arrived at %v, recorded at %v; all arrivals: %v", key, at, recorded, arrived)
		}
	}
	kills := a.kills()
	var stores []string
	for _, name := range a.notifiers {
		stores = append(stores, linkName(name, serverStore))
	}
	stores = append(stores, serverStore)
	for i, at := range arrived {
		end := at.Add(a.recording)
		switch {
		case i == kept:
		case a.disturbed(at.Add(-answerLag), at.Add(answerLag), channel):
			judge(at, byLostAnswer)
		case i > kept && a.disturbed(at.Add(-claimLag), at, stores...):
			judge(at, byLostStore)
		case i > kept:
			judge(at, byNothing)
		case a.disturbed(at, end, kills...) && arrived[i+1].Sub(at) >= a.takeOver:
			judge(at, byKill)
		case a.disturbed(at, end, stores...):
			judge(at, byLostStore)
		default:
			judge(at, byNothing)
		}
	}
}
