package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"example.com/orderflow/adapters/internal/dispatch"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// DefaultPrefetch is the default of Broker.Prefetch.
const DefaultPrefetch = 512

// Broker is a queue of events and a queue of dead letters. The zero Broker is
// ready for use; set its fields before the first call.
type Broker struct {
	// Delays between two attempts; one more attempt follows the last. Default: a
	// second, growing to ten minutes.
	Delays []time.Duration

	HandleTimeout time.Duration // how long a handler may take; 0 or less: 30 s
	StopTimeout   time.Duration // how long a handler may take after Consume or Drain was stopped; 0 or less: 5 s
	Prefetch      int           // the most events that a call of Consume handles at once; 0 or less: DefaultPrefetch
	Logger        *slog.Logger  // nil: slog.Default()

	queue queue[message]
	dead  queue[ports.DeadLetter]
}

// The parts of a broker, which share its queues.
type (
	Publisher       struct{ broker *Broker }
	Consumer        struct{ broker *Broker }
	DeadLetterQueue struct{ broker *Broker }
)

var (
	_ ports.EventPublisher  = Publisher{}
	_ ports.Pinger          = Publisher{}
	_ ports.EventQueue      = Consumer{}
	_ ports.DeadLetterQueue = DeadLetterQueue{}
)

// Publisher returns the publisher.
func (b *Broker) Publisher() Publisher { return Publisher{b} }

// Consumer returns the consumer. Calls of Consume compete for the events.
func (b *Broker) Consumer() Consumer { return Consumer{b} }

// Subscription returns the consumer of the subscription's queue.
func (b *Broker) Subscription(name string) Consumer { panic("not written yet") }

// Waiting implements [ports.EventQueue].
func (c Consumer) Waiting(ctx context.Context) (int, error) { return 0, errors.ErrUnsupported }

// DeadLetterQueue returns the queue of the dead letters.
func (b *Broker) DeadLetterQueue() DeadLetterQueue { return DeadLetterQueue{b} }

// Close returns nil: no connection has to be closed.
func (b *Broker) Close(context.Context) error { return nil }

type message struct {
	ports.Message
	attempt      int       // the next attempt, from 1
	firstFailure time.Time // zero: no failure yet
}

// Publish implements [ports.EventPublisher].
func (p Publisher) Publish(ctx context.Context, events ...domain.Event) []error {
	errs := make([]error, len(events))
	messages := make([]message, 0, len(events))
	for i, event := range events {
		m, err := wire.Encode(event)
		if err = cmp.Or(ctx.Err(), err); err != nil {
			errs[i] = fmt.Errorf("publish event %s: %w", event.ID, err)
			continue
		}
		messages = append(messages, message{Message: m, attempt: 1})
	}
	p.broker.queue.put(messages...)
	return errs
}

// Ping returns nil: no server has to answer.
func (p Publisher) Ping(context.Context) error { return nil }

// Ping returns nil: no server has to answer.
func (c Consumer) Ping(context.Context) error { return nil }

// Inject queues a message with this body and without headers, as another program
// may.
func (b *Broker) Inject(ctx context.Context, body []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("inject message: %w", err)
	}
	b.queue.put(message{Message: ports.Message{Body: bytes.Clone(body)}, attempt: 1})
	return nil
}

// Consume implements [ports.EventConsumer].
func (c Consumer) Consume(ctx context.Context, handle ports.Handler) error {
	b := c.broker
	if handle == nil {
		return errors.New("consume events: the handler is nil")
	}
	prefetch := b.Prefetch
	if prefetch <= 0 {
		prefetch = DefaultPrefetch
	}
	var handlers dispatch.Group
	defer handlers.Wait()
	slots := make(chan struct{}, prefetch)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		m, ok := b.queue.take(ctx)
		if !ok {
			return nil
		}
		event, err := wire.Decode(m.Message)
		if err != nil {
			b.setAside(m, err)
			<-slots
			continue
		}
		handlers.Go(event.Order.ID, func() {
			defer func() { <-slots }()
			if ctx.Err() != nil { // ended while it waited for an earlier event of its order
				b.queue.put(m)
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
	err := b.limits().Call(ctx, func(ctx context.Context) error {
		return handle(ctx, ports.Delivery{Event: event, Attempt: m.attempt})
	})
	if err == nil {
		return
	}
	if ports.IsPostponed(err) { // the handler logs its own outage
		b.log().Debug("event is postponed", "event_id", event.ID, "attempts", m.attempt-1, "again_in", delays[0].String(), "reason", err)
		time.AfterFunc(delays[0], func() { b.queue.put(m) })
		return
	}
	m.firstFailure = cmp.Or(m.firstFailure, now())
	if ports.IsPermanent(err) || m.attempt > len(delays) {
		b.setAside(m, err)
		return
	}
	delay := delays[m.attempt-1]
	b.log().Warn("attempt failed; the event comes again", "event_id", event.ID, "attempts", m.attempt, "again_in", delay.String(), "reason", err)
	m.attempt++
	time.AfterFunc(delay, func() { b.queue.put(m) })
}

func (b *Broker) limits() dispatch.Limits {
	return dispatch.Limits{Timeout: b.HandleTimeout, StopTimeout: b.StopTimeout}
}

func (b *Broker) log() *slog.Logger { return cmp.Or(b.Logger, slog.Default()) }

func now() time.Time { return domain.TruncateTime(time.Now()) }
