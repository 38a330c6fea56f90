package order

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const (
	bufferSize = 8192 // fresh events in memory; what does not fit waits for the sweep
	batchSize  = 256  // events in one call of Publish
	sweepSize  = 4000 // events in one call of Claim

	// No caller waits for what the relay does, and one event costs store, broker
	// and consumers almost as much as many, so each waits a while for others; no
	// longer once there are so many.
	publishDelay = 20 * time.Millisecond
	publishSize  = 64
	markDelay    = 50 * time.Millisecond // what a crash leaves unmarked is published again
	markSize     = 256

	sweepInterval = time.Second

	// An event is published only while its claim holds, so that two services
	// do not publish the same one: from when it was claimed, the relay tries
	// for holdFor, and a try may take publishTimeout. Their sum has to stay
	// below the outbox's lease. A mark that an outbox takes later than that
	// has the event published again, like one that is lost.
	holdFor        = 5 * time.Second
	publishTimeout = 5 * time.Second

	// How long an event that the broker refuses waits in the outbox.
	leastPostponed = 10 * time.Second
	mostPostponed  = time.Minute

	// So many events refused in a row, and none taken, is no fault of theirs.
	refusedInARow = 3
)

// Relay brings events from the outbox to the broker. Fresh ones come to it in
// memory; what a crash, a full buffer or a broker that was away has left in
// the outbox, it sweeps up.
type Relay struct {
	outbox    ports.Outbox
	publisher ports.EventPublisher
	log       *slog.Logger

	fresh      chan claimed
	published  chan []domain.EventID // not marked yet
	away       atomic.Bool           // the broker took nothing at the last try
	outboxAway atomic.Bool           // the outbox did not answer the last sweep
}

// claimed is an event with the time its claim was taken.
type claimed struct {
	event domain.Event
	since time.Time // or later
}

// NewRelay returns a relay from the outbox to the publisher; Run runs it. The
// outbox's lease must be longer than 10 s.
func NewRelay(outbox ports.Outbox, publisher ports.EventPublisher, log *slog.Logger) *Relay {
	return &Relay{
		outbox: outbox, publisher: publisher, log: log,
		fresh: make(chan claimed, bufferSize), published: make(chan []domain.EventID, 1),
	}
}

// Enqueue hands over an event that was just added to the outbox, claimed by the
// caller at since or later. It never waits: if the relay is behind, the event
// stays in the outbox for the sweep.
func (r *Relay) Enqueue(event domain.Event, since time.Time) {
	select {
	case r.fresh <- claimed{event, since}:
	default:
	}
}

// Run publishes events until ctx ends, then those that were handed over
// before, and returns. What it can't publish stays in the outbox. It runs once.
func (r *Relay) Run(ctx context.Context) error {
	var publishing, marking sync.WaitGroup
	publishing.Go(func() { r.publishFresh(ctx) })
	publishing.Go(func() { r.sweep(ctx) })
	marking.Go(func() { r.markPublished(ctx) })
	publishing.Wait()
	close(r.published)
	marking.Wait()
	return nil
}

func (r *Relay) publishFresh(ctx context.Context) {
	for {
		select {
		case first := <-r.fresh:
			r.relay(ctx, r.gather(ctx, first))
		case <-ctx.Done():
			r.drain(ctx)
			return
		}
	}
}

func (r *Relay) drain(ctx context.Context) {
	for {
		select {
		case first := <-r.fresh:
			if !r.relay(ctx, r.gather(ctx, first)) {
				return
			}
		default:
			return
		}
	}
}

// gather returns first and what waits behind it, one batch at most. While that
// is little and ctx has not ended, it waits for publishDelay for more.
func (r *Relay) gather(ctx context.Context, first claimed) []claimed {
	batch := []claimed{first}
	delay := time.NewTimer(publishDelay)
	defer delay.Stop()
	for len(batch) < batchSize {
		select {
		case next := <-r.fresh:
			batch = append(batch, next)
			continue
		default:
		}
		if len(batch) >= publishSize {
			return batch
		}
		select {
		case next := <-r.fresh:
			batch = append(batch, next)
		case <-delay.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

func (r *Relay) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		for r.sweepOnce(ctx) {
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweepOnce publishes what it claims by one call and reports whether more may
// be free.
func (r *Relay) sweepOnce(ctx context.Context) (more bool) {
	if ctx.Err() != nil {
		return false
	}
	limit := sweepSize
	if r.away.Load() {
		limit = batchSize // enough to see whether the broker is back
	}
	since := time.Now()
	events, err := r.outbox.Claim(ctx, limit)
	if err != nil {
		if ctx.Err() == nil && !r.outboxAway.Swap(true) {
			r.log.Warn("the outbox can't be swept; it is tried again", "error", err)
		}
		return false
	}
	if r.outboxAway.Swap(false) {
		r.log.Info("the outbox is swept again")
	}
	more = len(events) == limit
	for len(events) > 0 {
		batch := make([]claimed, min(len(events), batchSize))
		for i := range batch {
			batch[i] = claimed{events[i], since}
		}
		events = events[len(batch):]
		done := r.relay(ctx, batch)
		if ctx.Err() != nil || time.Since(since) > holdFor || !done && r.away.Load() {
			r.giveBack(ctx, since, events)
			return false
		}
		more = more && done
	}
	return more
}

// giveBack frees events that were claimed at since and not tried; they come
// first again.
func (r *Relay) giveBack(ctx context.Context, since time.Time, events []domain.Event) {
	if len(events) == 0 {
		return
	}
	ids := make([]domain.EventID, len(events))
	until := since
	for i, event := range events {
		ids[i] = event.ID
		if event.Time.Before(until) {
			until = event.Time
		}
	}
	// Once its claim may have run out, an event may be another's.
	timeout := min(publishTimeout, time.Until(since.Add(holdFor+publishTimeout)))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if err := r.outbox.Postpone(ctx, until, ids...); err != nil {
		r.log.Warn("claimed events not given back; they are tried again when their claims run out", "events", len(ids), "error", err)
	}
}

// relay publishes the batch and has it marked, trying again with backoff while
// its claims hold; once ctx has ended, it tries once. It reports whether it has
// done its part; what is not published stays in the outbox.
func (r *Relay) relay(ctx context.Context, batch []claimed) bool {
	events := make([]domain.Event, 0, len(batch))
	until := time.Now().Add(holdFor)
	for _, c := range batch {
		if time.Since(c.since) > holdFor {
			continue // its claim may run out: it is the sweep's now
		}
		events = append(events, c.event)
		if end := c.since.Add(holdFor); end.Before(until) {
			until = end
		}
	}
	if len(events) == 0 {
		return true
	}

	published, all := r.publish(ctx, until, events)
	if len(published) > 0 {
		r.published <- published
	}
	return all
}

// markPublished marks what is published, until there will be no more.
func (r *Relay) markPublished(ctx context.Context) {
	var err error
	failedAtTheEnd := false // and is not asked again: each time may take a bound
	for ids := range r.published {
		ids = r.gatherMarks(ctx, ids)
		if !failedAtTheEnd {
			err = r.retry(ctx, time.Now().Add(holdFor), func(ctx context.Context) error {
				return r.outbox.MarkPublished(ctx, ids...)
			})
			failedAtTheEnd = err != nil && ctx.Err() != nil
		}
		if err != nil {
			r.log.Warn("published events could not be marked; they will be published again", "events", len(ids), "error", err)
		}
	}
}

// gatherMarks returns first and what comes within markDelay.
func (r *Relay) gatherMarks(ctx context.Context, first []domain.EventID) []domain.EventID {
	ids := first
	delay := time.NewTimer(markDelay)
	defer delay.Stop()
	for len(ids) < markSize {
		select {
		case more, open := <-r.published:
			if !open {
				return ids
			}
			ids = append(ids, more...)
		case <-delay.C:
			return ids
		case <-ctx.Done():
			return ids
		}
	}
	return ids
}

// publish publishes the events together or, if the broker refuses some of
// them, one by one, so that one holds up nobody. It returns those that are
// published, and whether all are dealt with; refused ones are postponed.
func (r *Relay) publish(ctx context.Context, until time.Time, events []domain.Event) (published []domain.EventID, all bool) {
	err := r.try(ctx, until, events...)
	if err == nil {
		for _, event := range events {
			published = append(published, event.ID)
		}
		return published, true
	}
	if !isRefused(err) {
		return nil, false
	}
	// In any order, or those that are always refused would always come first.
	rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	var refused []domain.Event
	var reason error
	for _, event := range events {
		if len(events) > 1 {
			err = r.try(ctx, until, event)
		}
		switch {
		case err == nil:
			published = append(published, event.ID)
		case isRefused(err):
			refused, reason = append(refused, event), err
		default:
			return published, false
		}
		if len(published) == 0 && len(refused) == refusedInARow {
			r.noteState(true, reason)
			return nil, false
		}
		if time.Now().After(until) {
			break
		}
	}
	for _, event := range refused {
		if !r.postpone(ctx, until, event, reason) {
			return published, false
		}
	}
	return published, len(published)+len(refused) == len(events)
}

// try publishes the events, again and again while the broker is away. What it
// refuses is tried twice: a queue that was deleted is there again by then.
func (r *Relay) try(ctx context.Context, until time.Time, events ...domain.Event) error {
	refusals := 0
	return r.retry(ctx, until, func(ctx context.Context) error {
		err := r.publisher.Publish(ctx, events...)
		away := err != nil && (errors.Is(err, ports.ErrUnavailable) || ctx.Err() != nil)
		if err == nil || away {
			r.noteState(away, err)
			return err
		}
		if refusals++; refusals == 2 {
			return backoff.Permanent(&refusedError{err})
		}
		return err
	})
}

// refusedError: the broker answered, and will not have it.
type refusedError struct{ error }

func isRefused(err error) bool {
	var refused *refusedError
	return errors.As(err, &refused)
}

// postpone lets a refused event wait as long again as it has waited, between
// the bounds, so that it is tried at growing intervals. It reports whether the
// outbox has taken that.
func (r *Relay) postpone(ctx context.Context, until time.Time, event domain.Event, refused error) bool {
	delay := min(max(time.Since(event.Time), leastPostponed), mostPostponed)
	r.log.Error("the broker refuses an event; it is tried again later",
		"event_id", event.ID, "again_in", delay.Round(time.Second).String(), "error", refused)
	err := r.retry(ctx, until, func(ctx context.Context) error {
		return r.outbox.Postpone(ctx, time.Now().Add(delay), event.ID)
	})
	if err != nil {
		r.log.Warn("refused event not postponed; it is tried again when its claim runs out", "event_id", event.ID, "error", err)
	}
	return err == nil
}

// retry calls try until it succeeds, or until then, or until ctx ends; at
// least once. A try may outlive ctx, but not publishTimeout.
func (r *Relay) retry(ctx context.Context, until time.Time, try func(context.Context) error) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
		defer cancel()
		return struct{}{}, try(ctx)
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, RandomizationFactor: 0.3, Multiplier: 2, MaxInterval: time.Second,
	}), backoff.WithMaxElapsedTime(max(time.Until(until), time.Nanosecond)))
	return err
}

// noteState logs when the broker goes away and when it is back.
func (r *Relay) noteState(away bool, err error) {
	if r.away.Swap(away) != away {
		if away {
			r.log.Warn("events can't be published; they wait in the outbox", "error", err)
		} else {
			r.log.Info("events are published again")
		}
	}
}
