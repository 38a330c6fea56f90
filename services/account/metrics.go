package account

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/telemetry"
	"example.com/orderflow/services/internal/wiring"
)

// drawPause is how old an account may be that the metrics show.
const drawPause = 5 * time.Second

// Observe reports in the metrics what waits, who consumes and what is paused, each time that
// they are collected. A nil provider means the global one. A part that does not answer has
// no values meanwhile.
func (o *Office) Observe(meters metric.MeterProvider) error {
	office := o.local()
	var mu sync.Mutex
	var drawn time.Time
	var latest Account
	draw := func(ctx context.Context) Account {
		mu.Lock()
		defer mu.Unlock()
		if drawn.IsZero() || time.Since(drawn) >= drawPause {
			latest, drawn = office.Draw(ctx), time.Now()
		}
		return latest
	}
	backlogs := func(ctx context.Context) ([]telemetry.Backlog, error) { return office.backlogs(draw(ctx)), nil }
	gauges := func(ctx context.Context) (g telemetry.Gauges, err error) {
		g.Consumers = make(map[string]int)
		for _, q := range draw(ctx).Queues {
			g.Consumers[q.Channel] = q.Consumers
		}
		g.Pauses, err = office.pauses(ctx)
		return g, err
	}
	return errors.Join(telemetry.ObserveBacklogs(meters, backlogs), telemetry.Observe(meters, gauges))
}

// pauses counts the pauses of each channel by their kinds.
func (o *Office) pauses(ctx context.Context) (map[[2]string]int, error) {
	if wiring.IsNil(o.parts.States) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	all, err := o.parts.States.Pauses(ctx)
	if err != nil {
		return nil, err
	}
	n := make(map[[2]string]int)
	for _, channel := range o.parts.Channels {
		for _, kind := range []ports.PauseKind{ports.Manual, ports.Breaker, ports.Off} {
			n[[2]string{channel.Name, string(kind)}] = 0
		}
	}
	for _, p := range all {
		n[[2]string{p.Channel, string(p.Kind)}]++
	}
	return n, nil
}

// local returns an office without the orders that another process watches.
func (o *Office) local() *Office {
	if !o.parts.Remote {
		return o
	}
	parts := o.parts
	parts.Orders, parts.Remote = nil, false
	return &Office{parts: parts, latest: make(map[recipient]observation)}
}

// backlogs returns what waits at each place, and 0 for a place where nothing does.
func (o *Office) backlogs(a Account) (all []telemetry.Backlog) {
	add := func(place, channel string, waits ...ports.Backlog) {
		b := telemetry.Backlog{Place: place, Channel: channel}
		for _, w := range waits {
			b.Count += int64(w.N)
			if !w.Oldest.IsZero() && (b.Oldest.IsZero() || w.Oldest.Before(b.Oldest)) {
				b.Oldest = w.Oldest
			}
		}
		all = append(all, b)
	}
	if a.Orders != nil {
		add("outbox", "", a.Orders.Waiting)
	}
	for _, q := range a.Queues {
		add("queue", q.Channel, ports.Backlog{N: q.Ready + q.Delayed, Oldest: q.Oldest})
	}
	if a.LetterQueue != nil {
		add("dead_letter_queue", "", ports.Backlog{N: a.LetterQueue.Ready + a.LetterQueue.Delayed, Oldest: a.LetterQueue.Oldest})
	}
	missing := func(part string) bool {
		return slices.ContainsFunc(a.Faults, func(f Fault) bool { return f.Part == part })
	}
	for _, channel := range o.parts.Channels {
		var retrying, held, dead, letters []ports.Backlog
		for _, r := range a.Recipients {
			if r.Channel == channel.Name {
				retrying, held, dead = append(retrying, r.Retrying), append(held, r.Held), append(dead, r.Dead)
			}
		}
		for _, l := range a.DeadLetters {
			if l.Subscription == channel.Subscription {
				letters = append(letters, l.Waiting)
			}
		}
		if !missing("deliveries") && !missing("openings") {
			add("retrying", channel.Name, retrying...)
			add("held", channel.Name, held...)
			add("dead", channel.Name, dead...)
		}
		if !missing("dead letters") {
			add("dead_letters", channel.Name, letters...)
		}
	}
	return all
}
