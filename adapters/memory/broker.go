package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/adapters/internal/dispatch"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// DefaultPrefetch is how many events a consumer has in hand at most where
// nothing else is set.
const DefaultPrefetch = 200

// Broker is a queue of events with its publishers and consumers. Every call of
// Consume is a consumer of its own; they compete for the events.
type Broker struct {
	// Delays lie between one attempt and the next; after the last comes one
	// more attempt. Empty: a second, growing to ten minutes.
	Delays []time.Duration

	HandleTimeout time.Duration // how long a handler may take; 0: 30 s
	StopTimeout   time.Duration // how long it may take once Consume is to stop; 0: 5 s
	Prefetch      int           // how many events a consumer has in hand at most; 0: DefaultPrefetch
	Logger        *slog.Logger  // nil: slog.Default()

	mu      sync.Mutex
	queue   []message
	arrived chan struct{} // closed at the next arrival; nil: nobody waits for one
	dead    []DeadLetter
}

var (
	_ ports.EventPublisher = (*Broker)(nil)
	_ ports.EventConsumer  = (*Broker)(nil)
	_ ports.Pinger         = (*Broker)(nil)
)

type message struct {
	wire.Message
	attempt int // the one that comes next, from 1
}

// DeadLetter is a message set aside.
type DeadLetter struct {
	EventID  domain.EventID // empty if the message was no event
	Message  wire.Message
	Reason   string
	Attempts int // how often it was handed over, or tried to be
}

// Publish queues the events.
func (b *Broker) Publish(ctx context.Context, events ...domain.Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("publish %d events: %w", len(events), err)
	}
	messages := make([]message, len(events))
	for i, event := range events {
		m, err := wire.Encode(event)
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		messages[i] = message{m, 1}
	}
	b.enqueue(messages...)
	return nil
}

// Ping returns nil: there is no server that could be away.
func (b *Broker) Ping(context.Context) error { return nil }

// Inject queues a message with that body and no headers, as a stranger might.
func (b *Broker) Inject(ctx context.Context, body []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("inject message: %w", err)
	}
	b.enqueue(message{wire.Message{Body: bytes.Clone(body)}, 1})
	return nil
}

// DeadLetters returns what has been set aside so far, oldest first.
func (b *Broker) DeadLetters() []DeadLetter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.dead)
}

// Consume hands events to handle until ctx ends. What it has taken by then but
// not yet handed over goes back to the queue.
func (b *Broker) Consume(ctx context.Context, handle ports.Handler) error {
	prefetch := b.Prefetch
	if prefetch <= 0 {
		prefetch = DefaultPrefetch
	}
	var handlers dispatch.Group
	defer handlers.Wait()
	inHand := make(chan struct{}, prefetch)
	for {
		select {
		case inHand <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		m, ok := b.take(ctx)
		if !ok {
			return nil
		}
		event, err := wire.Decode(m.Message)
		if err != nil {
			b.setAside(m, "", err)
			<-inHand
			continue
		}
		handlers.Go(event.Order.ID, func() {
			defer func() { <-inHand }()
			if ctx.Err() != nil { // ended while an earlier event of the order was in hand
				b.enqueue(m)
				return
			}
			b.handle(ctx, handle, m, event)
		})
	}
}

func (b *Broker) handle(ctx context.Context, handle ports.Handler, m message, event domain.Event) {
	delays := b.Delays
	if len(delays) == 0 {
		delays = dispatch.DefaultDelays()
	}
	limits := dispatch.Limits{Timeout: b.HandleTimeout, StopTimeout: b.StopTimeout}
	err := limits.Handle(ctx, handle, ports.Delivery{Event: event, Attempt: m.attempt})
	switch {
	case err == nil:
	case ports.IsPostponed(err):
		time.AfterFunc(delays[0], func() { b.enqueue(m) })
	case ports.IsPermanent(err) || m.attempt > len(delays):
		b.setAside(m, event.ID, err)
	default:
		delay := delays[m.attempt-1]
		b.log().Warn("attempt failed", "event_id", event.ID, "attempt", m.attempt, "again_in", delay.String(), "error", err)
		time.AfterFunc(delay, func() { b.enqueue(message{m.Message, m.attempt + 1}) })
	}
}

func (b *Broker) enqueue(messages ...message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, messages...)
	if b.arrived != nil {
		close(b.arrived)
		b.arrived = nil
	}
}

// take returns the first message of the queue, or false once ctx has ended.
func (b *Broker) take(ctx context.Context) (message, bool) {
	for ctx.Err() == nil {
		b.mu.Lock()
		if len(b.queue) > 0 {
			m := b.queue[0]
			b.queue[0] = message{} // for the garbage collector
			b.queue = b.queue[1:]
			b.mu.Unlock()
			return m, true
		}
		if b.arrived == nil {
			b.arrived = make(chan struct{})
		}
		arrived := b.arrived
		b.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
		}
	}
	return message{}, false
}

func (b *Broker) log() *slog.Logger { return cmp.Or(b.Logger, slog.Default()) }

func (b *Broker) setAside(m message, id domain.EventID, reason error) {
	b.log().Warn("message is set aside as a dead letter", "event_id", id, "attempts", m.attempt, "reason", reason)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dead = append(b.dead, DeadLetter{id, m.Message, reason.Error(), m.attempt})
}
