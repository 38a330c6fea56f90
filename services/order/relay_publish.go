package order

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/retry"
)

// publish publishes events that were claimed at since, by calls of batchSize.
// While the broker is down it tries again with backoff, for as long as the
// claims hold. Once ctx has ended, it makes one call only. It releases the events
// that it has not tried. done is true if the broker took or refused all of them.
func (r *Relay) publish(ctx, calls context.Context, since time.Time, events []domain.Event) (done bool) {
	retrying, cancel := context.WithDeadline(ctx, since.Add(holdFor))
	defer cancel()
	for done = true; done && len(events) > 0 && time.Since(since) <= holdFor; {
		n := min(len(events), int(r.batchSize.Load()))
		unknown := events[:n]
		retry.Until(retrying, longestBackoff, func() bool {
			unknown = r.publishOnce(calls, since, unknown)
			return len(unknown) == 0
		})
		events = events[n:]
		done = len(unknown) == 0 && !r.broker.IsDown() && ctx.Err() == nil
	}
	r.release(calls, since, since, events)
	return done && len(events) == 0
}

// publishOnce publishes the events by one call. It hands over what the broker
// took to be marked, and releases what the broker refused. It returns the
// events that may be published or not; their claims must run out.
func (r *Relay) publishOnce(calls context.Context, since time.Time, events []domain.Event) (unknown []domain.Event) {
	ctx, cancel := context.WithTimeout(calls, callTimeout)
	defer cancel()
	began := time.Now()
	errs := r.publisher.Publish(ctx, events...)
	took, late := time.Since(began), ctx.Err() != nil

	var taken, refused []domain.Event
	var outage, refusal error
	for i, event := range events {
		switch err := errs[i]; {
		case err == nil:
			taken = append(taken, event)
		case late || errors.Is(err, ports.ErrUnavailable):
			unknown, outage = append(unknown, event), err
		default:
			refused, refusal = append(refused, event), err
		}
	}
	r.batchSize.Store(int64(nextSize(int(r.batchSize.Load()), maxBatch, len(events), took, outage)))
	if len(taken) > 0 {
		r.waiting.Store(int64(len(r.fresh)))
	}
	refusesAll := r.refusals.note(len(taken) > 0, refused)
	switch {
	case outage != nil || refusesAll:
		r.broker.Down(calls, r.log, "events can't be published; they wait in the outbox", cmp.Or(outage, refusal),
			"waiting_at_least", max(r.waiting.Load(), int64(len(unknown)+len(refused))))
	case len(taken) > 0:
		r.broker.Up(calls, r.log, "events are published again")
	}

	for _, event := range taken {
		r.published <- event.ID
	}
	at := time.Now()
	if len(refused) > 0 && !refusesAll {
		delay := refusalDelay(refused)
		at = at.Add(delay)
		r.log.Error("the broker refused events; the relay tries them again later", "events", len(refused),
			"event_id", refused[0].ID, "again_in", delay.Round(time.Second).String(), "error", refusal)
	}
	r.release(calls, since, at, refused)
	return unknown
}

// refusalDelay is as long as the youngest event has waited, between 10 s and a
// minute, so that the delays grow.
func refusalDelay(refused []domain.Event) time.Duration {
	delay := ports.MaxPostponement
	for _, event := range refused {
		delay = min(delay, max(time.Since(event.Time), 10*time.Second))
	}
	return delay
}

// release gives up the claims on events that were claimed at since, as long as
// these claims hold for certain. The events are free from the time at on.
func (r *Relay) release(calls context.Context, since, at time.Time, events []domain.Event) {
	if len(events) == 0 {
		return
	}
	ids := make([]domain.EventID, len(events))
	for i, event := range events {
		ids[i] = event.ID
	}
	ctx, cancel := context.WithTimeout(calls, min(callTimeout, time.Until(since.Add(claimTimeout))))
	defer cancel()
	if err := r.outbox.Release(ctx, at, ids...); err != nil {
		r.log.Warn("events were not released; the relay tries them again when their claims run out", "events", len(events), "error", err)
	}
}

// nextSize halves the size of a call after a slow one, so that calls end in
// time. It doubles it, up to most, after a fast one of full size.
func nextSize(size, most, given int, took time.Duration, err error) int {
	switch {
	case took > callTimeout/2:
		return max(given/2, 1)
	case took < callTimeout/8 && err == nil && given == size:
		return min(size*2, most)
	}
	return size
}

// refusals distinguishes a broker that refuses everything from one that refuses
// some events.
type refusals struct {
	mu     sync.Mutex
	tookAt time.Time        // when the broker last took an event
	since  []domain.EventID // refused since then, not more than manyRefused
}

const manyRefused = 16

// note records a call's answers. It reports whether the broker refuses
// everything: it has refused many events, and taken none for a minute. Then the
// broker is at fault, not the events.
func (f *refusals) note(took bool, refused []domain.Event) (refusesAll bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if took {
		f.tookAt, f.since = time.Now(), nil
		return false
	}
	for _, event := range refused {
		if len(f.since) < manyRefused && !slices.Contains(f.since, event.ID) {
			f.since = append(f.since, event.ID)
		}
	}
	return len(refused) > 0 && len(f.since) == manyRefused && time.Since(f.tookAt) > time.Minute
}
