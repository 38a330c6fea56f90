package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/services/cmd/proof/harness"
)

// The scenario in which receivers are absent, one after the other, and then a notifier
// is killed.
const (
	scenarioReceivers = "receivers"
	usersThere        = 500
	usualUsers        = 20

	steadyTime   = 20 * time.Second // before and after an absence
	absenceTime  = time.Minute
	heldTimeout  = 2 * time.Minute // in which all that was held must have arrived
	mostSlowdown = 1.2             // of the other channels' p99

	// Under this load a notifier that is killed leaves work behind.
	killRate    = 300 // orders a second
	killTime    = 5 * time.Second
	afterKilled = 10 * time.Second
)

func (t *trial) users() int {
	if t.Scenario == scenarioReceivers {
		return usersThere
	}
	return usualUsers
}

// span is a time in which orders were placed.
type span struct{ from, to time.Time }

// absence is a time in which a channel's receiver was absent.
type absence struct {
	channel               string
	before, during, after span
	held                  int           // notifications at its end
	drained               time.Duration // from its end on
}

// loseReceivers kills each receiver once for a while, and then a notifier under more
// load, after it has stopped the usual load.
func (t *trial) loseReceivers(ctx context.Context, stopLoad func()) error {
	harness.Sleep(ctx, warmUp)
	for _, channel := range channels {
		fmt.Printf("chaos: %d orders placed; the receiver of channel %s is killed in %v, for %v\n", t.load.numbers.Load(), channel, steadyTime, absenceTime)
		lost, err := t.loseReceiver(ctx, channel)
		if err != nil {
			return err
		}
		t.absences = append(t.absences, lost)
	}
	fmt.Printf("chaos: %d orders placed; a notifier is killed\n", t.load.numbers.Load())
	stopLoad()
	t.load.rate = killRate
	defer t.startLoad(ctx)()
	harness.Sleep(ctx, killTime)
	t.killedAt = time.Now()
	if err := t.of(programNotification)[0].bounce(ctx, syscall.SIGKILL, 0); err != nil {
		return err
	}
	harness.Sleep(ctx, afterKilled)
	return context.Cause(ctx)
}

// steady returns the span of a steady time.
func steady(ctx context.Context, length time.Duration) span {
	s := span{from: time.Now()}
	harness.Sleep(ctx, length)
	s.to = time.Now()
	return s
}

func (t *trial) loseReceiver(ctx context.Context, channel string) (lost absence, err error) {
	lost.channel = channel
	lost.before = steady(ctx, steadyTime)
	bringBack := t.killReceiver(channel)
	lost.during = steady(ctx, absenceTime)
	_, lost.held, err = t.servers.database.Recorded(ctx, channel)
	if err := errors.Join(bringBack(), err); err != nil {
		return lost, err
	}
	back := time.Now()
	missed := bson.M{"_id.channel": channel, "wait.next_try": bson.M{"$exists": true}, "wait.event.created_at": bson.M{"$lte": back}}
	if !await(ctx, heldTimeout, func() bool {
		var left int
		left, err = t.servers.database.CountIn(ctx, harness.Deliveries, missed)
		return err != nil || left == 0
	}) && ctx.Err() == nil {
		t.breaks(drainsHeld, "%s: not within %v", channel, heldTimeout)
	}
	lost.drained = time.Since(back)
	fmt.Printf("chaos: what was held has arrived %v after the receiver's return\n", tenths(lost.drained))
	lost.after = steady(ctx, steadyTime)
	return lost, err
}

// delay is the time from an order to a notification.
type delay struct {
	placed time.Time
	took   time.Duration
}

// delays returns the times from order to first arrival, by channel.
func (a *account) delays() map[string][]delay {
	all := make(map[string][]delay)
	placed := make(map[string]time.Time, len(a.orders))
	for _, o := range a.orders {
		placed[o.ID] = o.CreatedAt
	}
	first := make(map[string]time.Time)
	for _, s := range a.sends {
		if at, ok := first[s.OrderID]; !ok || s.Time.Before(at) {
			first[s.OrderID] = s.Time
		}
	}
	for id, at := range placed {
		if sent, ok := first[id]; ok {
			all["log"] = append(all["log"], delay{at, sent.Sub(at)})
		}
		for _, r := range recipients {
			if got := a.arrivals[r.channel][r.key(id)]; len(got.Times) > 0 {
				all[r.channel] = append(all[r.channel], delay{at, got.Times[0].Sub(at)})
			}
		}
	}
	return all
}

// within returns the sorted times of the orders that were placed in the spans.
func within(delays []delay, spans ...span) (times []time.Duration) {
	for _, d := range delays {
		if slices.ContainsFunc(spans, func(s span) bool { return !d.placed.Before(s.from) && d.placed.Before(s.to) }) {
			times = append(times, d.took)
		}
	}
	slices.Sort(times)
	return times
}

// settleAbsences compares the channels' delays during the absence of another's receiver
// with those before and after. It returns the rows of the report.
func (t *trial) settleAbsences() (rows []row) {
	var last time.Duration
	ms := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	delays := t.account.delays()
	for _, lost := range t.absences {
		rows = append(rows,
			row{lost.channel + ": receiver absent for", tenths(lost.during.to.Sub(lost.during.from))},
			row{lost.channel + ": waiting at its return", lost.held},
			row{lost.channel + ": all of these arrived after", tenths(lost.drained)})
		for _, channel := range append([]string{"log"}, channels...) {
			if channel == lost.channel {
				continue
			}
			var p99 [2]time.Duration
			for i, spans := range [][]span{{lost.during}, {lost.before, lost.after}} {
				times := within(delays[channel], spans...)
				p99[i] = harness.Percentile(times, 99)
				rows = append(rows, row{
					fmt.Sprintf("%s %s it, p50 and p99 of %d", channel, [...]string{"during", "before and after"}[i], len(times)),
					fmt.Sprint(ms(harness.Percentile(times, 50)), ", ", ms(p99[i])),
				})
			}
			ratio := float64(p99[0]) / float64(max(p99[1], 1))
			rows = append(rows, row{fmt.Sprintf("%s: ratio of the p99", channel), fmt.Sprintf("%.2f", ratio)})
			if ratio > mostSlowdown {
				t.breaks(slowsNone, "p99 of %s was %v during the absence of %s, and %v before and after", channel, ms(p99[0]), lost.channel, ms(p99[1]))
			}
		}
	}
	if t.killedAt.IsZero() {
		return rows
	}
	waiting := 0
	for _, list := range delays {
		for _, d := range list {
			if d.placed.Before(t.killedAt) && d.placed.Add(d.took).After(t.killedAt) {
				waiting++
				last = max(last, d.placed.Add(d.took).Sub(t.killedAt))
			}
		}
	}
	return append(rows,
		row{"notifications under way at a notifier's kill -9", waiting},
		row{"the last of them was sent after", tenths(last)})
}
