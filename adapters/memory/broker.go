package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/adapters/internal/dispatch"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// DefaultPrefetch is the default of Broker.Prefetch.
const DefaultPrefetch = dispatch.DefaultPrefetch

// Broker has queues of events and a queue of dead letters. The zero Broker is ready
// for use; set its fields before the first call.
type Broker struct {
	// Delays between two attempts; one more attempt follows the last. Default: a
	// second, growing to ten minutes.
	Delays []time.Duration

	HandleTimeout time.Duration // how long a handler may take; 0 or less: 30 s
	StopTimeout   time.Duration // how long a handler may take after Consume or Drain was stopped; 0 or less: 5 s
	Prefetch      int           // the most events that a call of Consume handles at once; 0 or less: DefaultPrefetch
	Logger        *slog.Logger  // nil: slog.Default()

	// SubscriptionPrefetch replaces Prefetch for the subscriptions with these names.
	SubscriptionPrefetch map[string]int

	main queue[message]
	dead queue[ports.DeadLetter]

	mu            sync.Mutex
	subscriptions map[string]*queue[message] // by name
}

// The parts of a broker, which share its queues.
type (
	Publisher struct{ broker *Broker }
	Consumer  struct {
		broker       *Broker
		subscription string // empty: the main queue
	}
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

// Consumer returns the consumer of the main queue, which always exists.
func (b *Broker) Consumer() Consumer { return Consumer{b, ""} }

// Subscription returns the consumer of the subscription's queue, which exists from
// the first call of Consume or Ping on. An empty name is the main queue's. The
// consumer's methods return an error for a name that [wire.CheckSubscription] refuses.
func (b *Broker) Subscription(name string) Consumer { return Consumer{b, name} }

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
	for _, q := range p.broker.queues() {
		q.put(messages...)
	}
	return errs
}

// System returns the product's name in traces.
func (p Publisher) System() string { return "memory" }

// System returns the product's name in traces.
func (c Consumer) System() string { return "memory" }

// Ping returns nil: no server has to answer.
func (p Publisher) Ping(context.Context) error { return nil }

// Inject puts a message with this body into the main queue and without headers, as another program
// may.
func (b *Broker) Inject(ctx context.Context, body []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("inject message: %w", err)
	}
	b.main.put(message{Message: ports.Message{Body: bytes.Clone(body)}, attempt: 1})
	return nil
}

// queue returns the subscription's queue; nil: it does not exist.
func (b *Broker) queue(subscription string) *queue[message] {
	if subscription == "" {
		return &b.main
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.subscriptions[subscription]
}

// declare returns the subscription's queue, and makes it if it does not exist.
func (b *Broker) declare(subscription string) (*queue[message], error) {
	if err := wire.CheckSubscription(subscription); err != nil {
		return nil, err
	}
	if q := b.queue(subscription); q != nil {
		return q, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subscriptions == nil {
		b.subscriptions = make(map[string]*queue[message])
	}
	if b.subscriptions[subscription] == nil {
		b.subscriptions[subscription] = new(queue[message])
	}
	return b.subscriptions[subscription], nil
}

// queues returns the queues that get each event.
func (b *Broker) queues() []*queue[message] {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append(slices.Collect(maps.Values(b.subscriptions)), &b.main)
}

func (b *Broker) limits() dispatch.Limits {
	return dispatch.Limits{Timeout: b.HandleTimeout, StopTimeout: b.StopTimeout}
}

func (b *Broker) log() *slog.Logger { return cmp.Or(b.Logger, slog.Default()) }

func now() time.Time { return domain.TruncateTime(time.Now()) }
