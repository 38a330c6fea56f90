package order

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/statelog"
	"example.com/orderflow/services/internal/wiring"
)

const (
	bufferSize = 8192 // events in memory, fresh or published; a fresh one that does not fit waits for the sweep
	maxBatch   = 256  // events in one call of Publish
	maxSweep   = 4000 // events in one call of Claim or MarkPublished

	// No caller waits for what the relay does, and one event costs store, broker
	// and consumers almost as much as many. So a few wait a while for others.
	publishEnough = 64
	publishDelay  = 20 * time.Millisecond
	markEnough    = 256
	markDelay     = 50 * time.Millisecond // what a crash leaves unmarked is published again

	sweepInterval = time.Second

	// An event is published only while its claim holds, so that two services
	// do not publish the same one: the relay begins to try within holdFor after
	// it was claimed, and ends within claimTimeout, which has to be shorter than
	// the outbox's lease. A mark that an outbox takes later than that has the
	// event published again, like one that is lost.
	holdFor      = 5 * time.Second
	tryTimeout   = 5 * time.Second
	claimTimeout = holdFor + tryTimeout

	// How long an event that the broker refuses waits in the outbox.
	leastPostponed = 10 * time.Second
	mostPostponed  = time.Minute

	// So many events refused in a row, while it has taken none for a while, is
	// the broker's fault and not theirs.
	refusedInARow = 16
	takenLately   = time.Minute
)

// Relay brings events from the outbox to the broker. Fresh ones come to it in
// memory; what a crash, a full buffer or a broker that was away has left in
// the outbox, it sweeps up.
type Relay struct {
	outbox    ports.Outbox
	publisher ports.EventPublisher
	log       *slog.Logger

	fresh     chan claimed
	published chan domain.EventID // not marked yet

	life      context.Context // of what outlives Run's own for a while
	ran       atomic.Bool
	batchSize atomic.Int64   // what the broker takes in time
	taken     atomic.Int64   // when the broker last took something, in Unix nanoseconds
	broker    statelog.State // whether it took anything at the last try
	held      atomic.Int64   // how many events are known to wait for it
	sweepSize int            // what the outbox claims in time
	swept     statelog.State // whether the outbox answered the last sweep
}

// claimed is an event with the time its claim was taken.
type claimed struct {
	event domain.Event
	since time.Time // or later
}

// NewRelay returns a relay from the outbox to the publisher; Run runs it. It
// returns an error without either, and if the outbox's claims last 10 s or
// less, for that is how long the relay may take to publish an event. Without a
// logger it uses slog.Default().
func NewRelay(outbox ports.Outbox, publisher ports.EventPublisher, log *slog.Logger) (*Relay, error) {
	if err := wiring.Check("relay", wiring.Part{Name: "an outbox", Given: outbox}, wiring.Part{Name: "a publisher", Given: publisher}); err != nil {
		return nil, err
	}
	if lease := outbox.ClaimLease(); lease <= claimTimeout {
		return nil, fmt.Errorf("relay: the outbox's claims last %v; it may need %v to publish an event, so they must last longer", lease, claimTimeout)
	}
	r := &Relay{
		outbox: outbox, publisher: publisher, log: wiring.Logger(log),
		fresh: make(chan claimed, bufferSize), published: make(chan domain.EventID, bufferSize),
		sweepSize: maxSweep,
	}
	r.batchSize.Store(maxBatch)
	return r, nil
}

// Enqueue hands over an event that was just added to the outbox, claimed by the
// caller at since or later. It never waits: if the relay is behind, the event
// stays in the outbox for the sweep.
func (r *Relay) Enqueue(event domain.Event, since time.Time) {
	if r.broker.IsDown() {
		r.held.Add(1)
	}
	select {
	case r.fresh <- claimed{event, since}:
	default:
	}
}

// Run publishes events until ctx ends, then those that were handed over
// before, and returns, 5 s later at most. What it can't publish stays in the
// outbox. It runs once: a second call returns an error.
func (r *Relay) Run(ctx context.Context) error {
	if r.outbox == nil {
		return errors.New("relay: it was not made by NewRelay")
	}
	if r.ran.Swap(true) {
		return errors.New("relay: it has run already; make another")
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(tryTimeout, end) })()
	r.life = life

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
			r.relay(ctx, r.gatherFresh(ctx, first))
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
			if !r.relay(ctx, r.gatherFresh(ctx, first)) && (r.broker.IsDown() || r.life.Err() != nil) {
				return
			}
		default:
			return
		}
	}
}

func (r *Relay) gatherFresh(ctx context.Context, first claimed) []claimed {
	return gather(ctx, r.fresh, first, publishEnough, maxBatch, publishDelay)
}

// gather returns first and what waits behind it, most at most. While that is
// not enough, it waits for more until the delay is over or ctx or the channel
// ends.
func gather[T any](ctx context.Context, from <-chan T, first T, enough, most int, delay time.Duration) []T {
	all := []T{first}
	over := time.NewTimer(delay)
	defer over.Stop()
	for len(all) < most {
		select {
		case next, open := <-from:
			if !open {
				return all
			}
			all = append(all, next)
			continue
		default:
		}
		if len(all) >= enough {
			return all
		}
		select {
		case next, open := <-from:
			if !open {
				return all
			}
			all = append(all, next)
		case <-over.C:
			return all
		case <-ctx.Done():
			return all
		}
	}
	return all
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
	since := time.Now()
	events, limit, err := r.claim()
	if err != nil {
		if ctx.Err() == nil {
			r.swept.Down(ctx, r.log, "the outbox can't be swept; it is tried again", err)
		}
		return false
	}
	r.swept.Up(ctx, r.log, "the outbox is swept again")
	more = len(events) == limit
	for away := false; len(events) > 0; {
		if away || ctx.Err() != nil || time.Since(since) > holdFor {
			r.giveBack(since, events)
			return false
		}
		batch := make([]claimed, min(len(events), maxBatch))
		for i := range batch {
			batch[i] = claimed{events[i], since}
		}
		events = events[len(batch):]
		if !r.relay(ctx, batch) {
			more, away = false, r.broker.IsDown()
		}
	}
	return more
}

// claim claims as many events as the outbox can in time and, while the broker
// is away, not more than it takes to see whether it is back. It may outlive
// Run's context: a claim that is given up keeps events from everybody.
func (r *Relay) claim() (events []domain.Event, limit int, err error) {
	ctx, cancel := context.WithTimeout(r.life, tryTimeout)
	defer cancel()
	limit = r.sweepSize
	if r.broker.IsDown() {
		limit = min(limit, maxBatch)
	}
	began := time.Now()
	events, err = r.outbox.Claim(ctx, limit)
	r.sweepSize = adapted(r.sweepSize, maxSweep, limit, time.Since(began), err)
	return events, limit, err
}

// relay publishes the batch and has it marked, trying again with backoff while
// its claims hold; once ctx has ended, it tries once. If the broker refuses
// some of the events, each goes by itself, so that one holds up nobody. It
// reports whether all are published or postponed; the others stay in the
// outbox, and those it has not tried are free there.
func (r *Relay) relay(ctx context.Context, batch []claimed) (all bool) {
	since := time.Now()
	var events []domain.Event
	for _, c := range batch {
		if time.Since(c.since) > holdFor {
			continue // its claim may run out: it is the sweep's now
		}
		events = append(events, c.event)
		if c.since.Before(since) {
			since = c.since
		}
	}

	all = true
	var refused []domain.Event
	var reason error
	single, tries := false, 2 // a queue that was deleted is there again at the second
loop:
	for len(events) > 0 && time.Since(since) <= holdFor {
		n := 1
		if !single {
			n = min(len(events), int(r.batchSize.Load()))
		}
		err := r.try(ctx, since, tries, events[:n]...)
		switch {
		case err == nil:
			for _, event := range events[:n] {
				r.published <- event.ID
			}
		case !isRefused(err):
			all, events = false, events[n:] // these may be published: their claims have to run out
			break loop
		case n > 1:
			single, tries = true, 1
			rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			continue
		default:
			refused, reason = append(refused, events[0]), err
		}
		events = events[n:]
		if len(refused) >= refusedInARow && time.Since(time.Unix(0, r.taken.Load())) > takenLately {
			r.noteState(true, len(events)+len(refused), reason)
			events, refused = append(events, refused...), nil
			break
		}
	}
	postponed := r.postpone(since, refused, reason)
	r.giveBack(since, events)
	return all && postponed && len(events) == 0
}

// try publishes the events, again and again while the broker is away. What it
// refuses is tried so many times.
func (r *Relay) try(ctx context.Context, since time.Time, tries int, events ...domain.Event) error {
	return r.retry(ctx, since.Add(holdFor), func(bounded context.Context) error {
		began := time.Now()
		err := errors.Join(r.publisher.Publish(bounded, events...)...)
		away := err != nil && (errors.Is(err, ports.ErrUnavailable) || bounded.Err() != nil)
		if err == nil || away {
			r.noteState(away, len(events), err)
			size := int(r.batchSize.Load())
			r.batchSize.Store(int64(adapted(size, maxBatch, len(events), time.Since(began), err)))
			return err
		}
		if tries--; tries <= 0 || ctx.Err() != nil {
			return backoff.Permanent(&refusedError{err})
		}
		return err
	})
}

// adapted returns how many a server is given at once from now on, so that it is
// well in time: size until now, most at most. It was given n of late, and took
// so long.
func adapted(size, most, n int, took time.Duration, err error) int {
	switch {
	case took > tryTimeout/2:
		return max(n/2, 1)
	case took < tryTimeout/8 && err == nil && n == size:
		return min(size*2, most)
	}
	return size
}

// refusedError: the broker answered, and will not have it.
type refusedError struct{ error }

func isRefused(err error) bool {
	var refused *refusedError
	return errors.As(err, &refused)
}

// postpone lets refused events wait as long again as the youngest has waited,
// between the bounds, so that they are tried at growing intervals. It reports
// whether the outbox has taken that.
func (r *Relay) postpone(since time.Time, events []domain.Event, refused error) bool {
	if len(events) == 0 {
		return true
	}
	delay := mostPostponed
	for _, event := range events {
		delay = min(delay, max(time.Since(event.Time), leastPostponed))
	}
	r.log.Error("the broker refuses events; they are tried again later", "events", len(events),
		"event_id", events[0].ID, "again_in", delay.Round(time.Second).String(), "error", refused)
	err := r.free(since, time.Now().Add(delay), events)
	if err != nil {
		r.log.Warn("refused events not postponed; they are tried again when their claims run out", "events", len(events), "error", err)
	}
	return err == nil
}

// giveBack frees events that were not tried.
func (r *Relay) giveBack(since time.Time, events []domain.Event) {
	if len(events) == 0 {
		return
	}
	if err := r.free(since, since, events); err != nil {
		r.log.Warn("events not given back; they are tried again when their claims run out", "events", len(events), "error", err)
	}
}

// free has the outbox free events at that time which were claimed at since:
// once their claims may have run out, they may be another's.
func (r *Relay) free(since, at time.Time, events []domain.Event) error {
	ids := make([]domain.EventID, len(events))
	for i, event := range events {
		ids[i] = event.ID
	}
	ctx, cancel := context.WithDeadline(r.life, since.Add(claimTimeout))
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	return r.outbox.Release(ctx, at, ids...)
}

// markPublished marks what is published, until there will be no more.
func (r *Relay) markPublished(ctx context.Context) {
	var err error
	failedAtTheEnd := false // and is not asked again: each time may take a bound
	for first := range r.published {
		ids := gather(ctx, r.published, first, markEnough, maxSweep, markDelay)
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

// retry calls try until it succeeds, or until then, or until ctx ends; at
// least once, unless Run's time is over. A try may outlive ctx for a while.
func (r *Relay) retry(ctx context.Context, until time.Time, try func(context.Context) error) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		if err := r.life.Err(); err != nil {
			return struct{}{}, backoff.Permanent(err)
		}
		ctx, cancel := context.WithTimeout(r.life, tryTimeout)
		defer cancel()
		return struct{}{}, try(ctx)
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, RandomizationFactor: 0.3, Multiplier: 2, MaxInterval: time.Second,
	}), backoff.WithMaxElapsedTime(max(time.Until(until), time.Nanosecond)))
	return err
}

// noteState logs whether the broker takes events, of which it was given some.
// That many and what comes meanwhile wait at least; an outbox may hold more from
// before.
func (r *Relay) noteState(away bool, given int, err error) {
	if away {
		if !r.broker.IsDown() {
			r.held.Store(int64(given + len(r.fresh)))
		}
		r.broker.Down(r.life, r.log, "events can't be published; they wait in the outbox", err, "waiting_at_least", max(r.held.Load(), int64(given)))
		return
	}
	r.taken.Store(time.Now().UnixNano())
	r.held.Store(0)
	r.broker.Up(r.life, r.log, "events are published again")
}
