package order

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/retry"
	"example.com/orderflow/services/internal/statelog"
	"example.com/orderflow/services/internal/telemetry"
	"example.com/orderflow/services/internal/wiring"
)

const (
	bufferSize = 8192 // events in each channel; a fresh event that does not fit waits for the sweep
	maxBatch   = 256  // events in one call of Publish
	maxSweep   = 4000 // events in one call of Claim or MarkPublished

	// A batch costs little more than one event, so pauses bound the rate of
	// calls: the first one goes at once. Enough events don't wait for the pause.
	// A shorter pause makes events quicker at middling rates, but more calls take
	// time from the orders. So the pause is publishShare times as long as the quicker
	// one of the latest two calls: a broker that once was slow is not slow.
	publishPause  = 20 * time.Millisecond
	publishShare  = 4
	publishEnough = 64
	markPause     = 50 * time.Millisecond
	markEnough    = 256

	sweepInterval = time.Second

	// The relay pings the broker while it calls Publish less often than this. Claims of
	// events whose outcome is unknown run out in less time, so an outage with events is
	// no idle time.
	idleAfter    = 30 * time.Second
	idleInterval = 10 * time.Second // between two pings
	maxBackoff   = time.Second

	// The relay publishes an event only while its claim holds, so that two
	// services do not publish the same event. A call starts within holdFor after
	// the claim and ends within claimTimeout. The outbox's lease must be longer.
	holdFor      = 5 * time.Second
	callTimeout  = 5 * time.Second
	claimTimeout = holdFor + callTimeout
)

// Relay publishes the outbox's events. It gets fresh events in memory from
// Enqueue. Each second it also sweeps the outbox for events that a crash, a full
// buffer or an outage of the broker left there.
//
// While nothing is to be published, it looks at the broker if the publisher is a
// [ports.Pinger], so that the log reports an outage before the next order.
//
// Its loops take two contexts. When the first, Run's, ends, they start no new work.
// The second ends 5 s later, and bounds the calls under way.
type Relay struct {
	// TracerProvider and MeterProvider are for the spans and metrics of the relay and of
	// its [Service]; nil means OpenTelemetry's global ones. Set them before first use.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider

	telemetry telemetry.Lazy
	outbox    ports.Outbox
	publisher ports.EventPublisher
	log       *slog.Logger

	ran       atomic.Bool
	fresh     chan claimed
	published chan domain.EventID // not marked yet
	waiting   atomic.Int64        // events that wait for the broker, at least

	broker    statelog.State // down: it is unavailable, or refuses everything
	calledAt  atomic.Int64   // when Publish was last called, in nanoseconds since 1970
	refusals  refusals
	batchSize atomic.Int64   // events that the broker answers in time, in one call
	sweeps    statelog.State // down: Claim fails
	sweepSize int            // events that the outbox claims in time, in one call
}

// claimed is an event that was claimed at since or later.
type claimed struct {
	event domain.Event
	since time.Time
}

// NewRelay returns a relay from the outbox to the publisher; Run runs it. Both
// are required. The outbox's claims must last longer than 10 s: the relay may
// take that long to publish an event. A nil log means slog.Default().
func NewRelay(outbox ports.Outbox, publisher ports.EventPublisher, log *slog.Logger) (*Relay, error) {
	if err := wiring.Check("relay", wiring.Part{Name: "an outbox", Given: outbox}, wiring.Part{Name: "a publisher", Given: publisher}); err != nil {
		return nil, err
	}
	if lease := outbox.ClaimLease(); lease <= claimTimeout {
		return nil, fmt.Errorf("relay: the outbox's claims last %v; publishing an event may take %v, so they must last longer", lease, claimTimeout)
	}
	r := &Relay{
		outbox: outbox, publisher: publisher, log: wiring.Logger(log),
		fresh: make(chan claimed, bufferSize), published: make(chan domain.EventID, bufferSize),
		sweepSize: maxSweep,
	}
	r.batchSize.Store(maxBatch)
	return r, nil
}

// Enqueue hands over an event that was just added to the outbox, and so claimed, at
// since or later. Enqueue never waits: if the buffer is full, the event stays in the
// outbox for the sweep.
func (r *Relay) Enqueue(event domain.Event, since time.Time) {
	r.waiting.Add(1)
	select {
	case r.fresh <- claimed{event, since}:
	default:
	}
}

// Run publishes events until ctx ends. Then it publishes the buffered events, and
// returns within 5 s; the outbox keeps the rest. A second call of Run returns an
// error.
func (r *Relay) Run(ctx context.Context) error {
	if r.outbox == nil {
		return errors.New("run relay: it was not made by NewRelay")
	}
	if r.ran.Swap(true) {
		return errors.New("run relay: it has run already; make another one with NewRelay")
	}
	calls, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(callTimeout, end) })()

	var publishing, marking sync.WaitGroup
	publishing.Go(func() { r.publishFresh(ctx, calls) })
	publishing.Go(func() { r.sweep(ctx, calls) })
	publishing.Go(func() { r.watchIdle(ctx) })
	marking.Go(func() { r.markPublished(ctx, calls) })
	publishing.Wait()
	close(r.published)
	marking.Wait()
	if left := r.left(); left > 0 {
		r.log.Warn("the relay leaves events in the outbox; another order service or the next start publishes them", "at_least", left)
	}
	return nil
}

// left returns how many events the relay knows that it has not published.
func (r *Relay) left() int64 {
	if r.broker.IsDown() {
		return r.waiting.Load()
	}
	return int64(len(r.fresh))
}

// publishFresh publishes the events from Enqueue until ctx ends. Then it publishes
// the buffered events, unless the broker is down.
func (r *Relay) publishFresh(ctx, calls context.Context) {
	var next time.Time      // when the next batch is due
	earlier := publishPause // what the call before the latest took
	for ctx.Err() == nil || len(r.fresh) > 0 {
		select {
		case first := <-r.fresh:
			size := int(r.batchSize.Load())
			batch := gather(ctx, r.fresh, first, min(size, publishEnough), size, next)
			began := time.Now()
			r.publishClaimed(ctx, calls, batch)
			took := time.Since(began)
			next = began.Add(min(publishShare*min(took, earlier), publishPause))
			earlier = took
			if ctx.Err() != nil && r.broker.IsDown() {
				return
			}
		case <-ctx.Done():
		}
	}
}

// publishClaimed publishes the batch, except the events whose claims may run out
// meanwhile. It leaves those to the sweep.
func (r *Relay) publishClaimed(ctx, calls context.Context, batch []claimed) {
	since := time.Now()
	var events []domain.Event
	for _, c := range batch {
		if time.Since(c.since) > holdFor {
			continue
		}
		events = append(events, c.event)
		if c.since.Before(since) {
			since = c.since
		}
	}
	r.publish(ctx, calls, since, events)
}

// sweep publishes the outbox's free events each second, until ctx ends.
func (r *Relay) sweep(ctx, calls context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		for ctx.Err() == nil && r.sweepOnce(ctx, calls) {
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweepOnce claims events with one call and publishes them. more is true if it has
// published all of them and others may be free.
func (r *Relay) sweepOnce(ctx, calls context.Context) (more bool) {
	limit := r.sweepSize
	if r.broker.IsDown() {
		limit = min(limit, maxBatch) // enough to find out whether the broker works again
	}
	since := time.Now()
	claiming, cancel := context.WithTimeout(calls, callTimeout)
	defer cancel()
	events, err := r.outbox.Claim(claiming, limit)
	r.sweepSize = nextSize(r.sweepSize, maxSweep, limit, time.Since(since), err)
	if err != nil {
		if ctx.Err() == nil {
			r.sweeps.Down(ctx, r.log, "the outbox can't be swept; the relay tries again", err)
		}
		return false
	}
	r.sweeps.Up(ctx, r.log, "the outbox is swept again")
	return r.publish(ctx, calls, since, events) && len(events) == limit
}

// watchIdle pings the broker while no events go to it, until ctx ends.
func (r *Relay) watchIdle(ctx context.Context) {
	broker, ok := r.publisher.(ports.Pinger)
	if !ok {
		return
	}
	r.calledAt.CompareAndSwap(0, time.Now().UnixNano())
	ticker := time.NewTicker(idleInterval)
	defer ticker.Stop()
	away := false // because of a ping
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if time.Since(time.Unix(0, r.calledAt.Load())) < idleAfter {
			away = false // publish reports the broker's state
			continue
		}
		pinging, cancel := context.WithTimeout(ctx, callTimeout)
		err := broker.Ping(pinging)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			away = true
			r.broker.Down(ctx, r.log, "the broker is unavailable; events would wait in the outbox", err, "waiting_at_least", r.waiting.Load())
		case away:
			away = false
			r.broker.Up(ctx, r.log, "the broker is available again")
		}
	}
}

// markPublished marks published events until the channel is closed. The sweep
// publishes unmarked events again.
func (r *Relay) markPublished(ctx, calls context.Context) {
	var next time.Time // when the next batch is due
	var err error
	failedAtStop := false // no more calls then: each may take callTimeout
	for first := range r.published {
		ids := gather(ctx, r.published, first, markEnough, maxSweep, next)
		next = time.Now().Add(markPause)
		if !failedAtStop {
			err = r.mark(ctx, calls, ids)
			failedAtStop = err != nil && ctx.Err() != nil
		}
		if err != nil {
			r.log.Warn("published events were not marked; they will be published again", "events", len(ids), "error", err)
		}
	}
}

func (r *Relay) mark(ctx, calls context.Context, ids []domain.EventID) (err error) {
	retrying, cancel := context.WithTimeout(ctx, holdFor)
	defer cancel()
	retry.Until(retrying, maxBackoff, func() (done bool) {
		marking, cancel := context.WithTimeout(calls, callTimeout)
		defer cancel()
		err = r.outbox.MarkPublished(marking, ids...)
		return err == nil
	})
	if err == nil {
		r.observed().Marked(calls, len(ids))
	}
	return err
}

func (r *Relay) observed() *telemetry.Telemetry {
	return r.telemetry.Get(r.TracerProvider, r.MeterProvider)
}

// gather returns first and the channel's next items, up to limit. If the channel is
// empty, it waits for enough items, until the deadline, ctx's end or the channel's
// close.
func gather[T any](ctx context.Context, from <-chan T, first T, enough, limit int, deadline time.Time) []T {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	items := []T{first}
	for len(items) < limit && (len(from) > 0 || len(items) < enough) {
		select {
		case next, open := <-from:
			if !open {
				return items
			}
			items = append(items, next)
		case <-ctx.Done():
			enough = 0 // take only the items that the channel has
		}
	}
	return items
}
