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
	"example.com/orderflow/services/internal/telemetry"
)

// publish publishes events that were claimed at since, batchSize in a call. While
// the broker is down it retries with backoff, as long as the claims hold. Once ctx
// has ended, it makes one call only. It releases the events that it has not tried.
// done is true if the broker accepted or refused all events.
func (r *Relay) publish(ctx, calls context.Context, since time.Time, events []domain.Event) (done bool) {
	retrying, cancel := context.WithDeadline(ctx, since.Add(holdFor))
	defer cancel()
	for done = true; done && len(events) > 0 && time.Since(since) <= holdFor; {
		n := min(len(events), int(r.batchSize.Load()))
		unknown := events[:n]
		retry.Until(retrying, maxBackoff, func() bool {
			unknown = r.publishOnce(calls, since, unknown)
			return len(unknown) == 0
		})
		events = events[n:]
		done = len(unknown) == 0 && !r.broker.IsDown() && ctx.Err() == nil
	}
	r.release(calls, since, since, events)
	return done && len(events) == 0
}

// publishOnce publishes the events with one call. It passes the accepted ones on to
// be marked, and releases the refused ones. It returns those whose outcome is
// unknown: they may be published, so their claims must run out.
func (r *Relay) publishOnce(calls context.Context, since time.Time, events []domain.Event) (unknown []domain.Event) {
	ctx, cancel := context.WithTimeout(calls, callTimeout)
	defer cancel()
	began := time.Now()
	r.calledAt.Store(began.UnixNano())
	sent, end := r.observed().Publishing(ctx, r.publisher, events)
	errs := r.publisher.Publish(ctx, sent...)
	end(errs)
	took, late := time.Since(began), ctx.Err() != nil

	var accepted, refused []domain.Event
	var outage, refusal error
	for i, event := range events {
		switch err := errs[i]; {
		case err == nil:
			accepted = append(accepted, event)
		case late || errors.Is(err, ports.ErrUnavailable):
			unknown, outage = append(unknown, event), err
		default:
			refused, refusal = append(refused, event), err
		}
	}
	r.batchSize.Store(int64(nextSize(int(r.batchSize.Load()), maxBatch, len(events), took, outage)))
	r.observed().Published(calls, took, len(accepted), len(refused), len(unknown))
	for _, event := range accepted {
		r.observed().Confirmed(calls, time.Since(event.Time))
	}
	if len(accepted) > 0 {
		r.waiting.Store(int64(len(r.fresh)))
	}
	refusesAll := r.refusals.note(len(accepted) > 0, refused)
	switch {
	case outage != nil || refusesAll:
		r.broker.Down(calls, r.log, "events can't be published; they wait in the outbox", cmp.Or(outage, refusal),
			"waiting_at_least", max(r.waiting.Load(), int64(len(unknown)+len(refused))))
	case len(accepted) > 0:
		r.broker.Up(calls, r.log, "events are published again")
	}

	for _, event := range accepted {
		r.published <- event.ID
	}
	at := time.Now()
	if len(refused) > 0 && !refusesAll {
		delay := refusalDelay(refused)
		at = at.Add(delay)
		r.log.ErrorContext(telemetry.NewContext(calls, refused[0].Origin), "the broker refused events; the relay tries them again later", "events", len(refused),
			"event_id", refused[0].ID, "again_in", delay.Round(time.Second).String(), "error", refusal)
	}
	r.release(calls, since, at, refused)
	return unknown
}

// refusalDelay returns the time until refused events are tried again: the youngest
// one's age, but 10 s at least and a minute at most. So the delays grow.
func refusalDelay(refused []domain.Event) time.Duration {
	delay := ports.MaxReleaseDelay
	for _, event := range refused {
		delay = min(delay, max(time.Since(event.Time), 10*time.Second))
	}
	return delay
}

// release gives up the claims on events that were claimed at since, unless those
// claims may have run out. From the time at on, any relay can claim the events.
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

// nextSize returns the number of events for the next call, so that calls end in
// time. It halves the number after a slow call, and doubles it, up to limit, after a
// fast one of full size.
func nextSize(size, limit, events int, took time.Duration, err error) int {
	switch {
	case took > callTimeout/2:
		return max(events/2, 1)
	case took < callTimeout/8 && err == nil && events == size:
		return min(size*2, limit)
	}
	return size
}

// refusals distinguishes a broker that refuses everything from one that refuses
// some events.
type refusals struct {
	mu         sync.Mutex
	acceptedAt time.Time        // when the broker last accepted an event
	refused    []domain.EventID // since then, at most manyRefused
}

const manyRefused = 16

// note notes a call's answers. It reports whether the broker refuses everything:
// it has refused many events, and accepted no event for a minute. Then the fault is
// the broker's, not the events'.
func (f *refusals) note(accepted bool, refused []domain.Event) (refusesAll bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if accepted {
		f.acceptedAt, f.refused = time.Now(), nil
		return false
	}
	for _, event := range refused {
		if len(f.refused) < manyRefused && !slices.Contains(f.refused, event.ID) {
			f.refused = append(f.refused, event.ID)
		}
	}
	return len(refused) > 0 && len(f.refused) == manyRefused && time.Since(f.acceptedAt) > time.Minute
}
