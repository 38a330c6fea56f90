package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/internal/dispatch"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// DefaultPrefetch is how many events a consumer has in hand at most where
// nothing else is set. Brokers' manuals advise 100 to 300; a handler whose
// writes go together with others' makes good use of some more.
const DefaultPrefetch = 512

// Consumer hands the queue's events to a handler. Each call of Consume is a
// consumer of its own, with its own connections.
type Consumer struct {
	broker   *Broker
	maxPause time.Duration // maxPause; tests have less time
	mu       sync.Mutex
	running  map[*link]struct{}
}

var (
	_ ports.EventConsumer = (*Consumer)(nil)
	_ ports.Pinger        = (*Consumer)(nil)
)

func newConsumer(b *Broker) *Consumer {
	return &Consumer{broker: b, maxPause: maxPause, running: make(map[*link]struct{})}
}

// Consume consumes as the contract has it. A login or a right that is refused at
// the start is an error once it was refused twice, for a broker that goes down
// during a login looks the same; a [*TopologyError] or an
// [*InvalidTopologyError] is one at any time.
func (c *Consumer) Consume(ctx context.Context, handle ports.Handler) error {
	if handle == nil {
		return errors.New("consume events: the handler is nil")
	}
	o := c.broker.options
	prefetch := o.Prefetch
	if prefetch <= 0 {
		prefetch = DefaultPrefetch
	}
	prefetch = min(prefetch, math.MaxUint16)
	in := c.broker.endpoint("orderflow consumer", o.Topology.handingOver())
	out := c.broker.endpoint("orderflow hand-over", o.Topology.handingOver())
	w := &work{
		in:     newIntake(in, o.Topology.Queue, prefetch),
		out:    newLink(out, startPipeline),
		handle: handle,
		limits: dispatch.Limits{Timeout: o.HandleTimeout, StopTimeout: o.StopTimeout},
	}
	w.in.maxPause = c.maxPause
	defer closeAll(w.in.link, w.out)
	c.mu.Lock()
	c.running[w.in.link] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.running, w.in.link)
		c.mu.Unlock()
	}()

	if err := w.in.run(ctx, w.begin); err != nil {
		return fmt.Errorf("consume from queue %q: %w", o.Topology.Queue, err)
	}
	return nil
}

// Ping returns nil if Consume is at work and its connection answers.
func (c *Consumer) Ping(ctx context.Context) error {
	c.mu.Lock()
	running := slices.Collect(maps.Keys(c.running))
	c.mu.Unlock()
	if len(running) == 0 {
		return fmt.Errorf("ping broker: %w: not consuming", ports.ErrUnavailable)
	}
	for _, link := range running {
		if err := link.ping(ctx); err != nil {
			return fmt.Errorf("ping broker: %w", err)
		}
	}
	return nil
}

// work is one call of Consume.
type work struct {
	in     *intake
	out    *link // of its own, for a broker short of memory or disk stops who publishes
	handle ports.Handler
	limits dispatch.Limits
}

// begin has the delivery's event handled, unless it is none, and hands over
// what failed.
func (w *work) begin(ctx context.Context, s *session, d amqp.Delivery) (domain.OrderID, func() bool) {
	event, decodeErr := wire.Decode(wireMessage(d))
	return event.Order.ID, func() bool {
		failure := ports.Permanent(decodeErr)
		if failure == nil {
			failure = w.limits.Call(ctx, func(ctx context.Context) error {
				return w.handle(ctx, ports.Delivery{Event: event, Attempt: failedAttempts(d) + 1})
			})
		}
		return failure == nil || w.handOver(ctx, s, d, event.ID, failure)
	}
}

func wireMessage(d amqp.Delivery) ports.Message {
	headers := make(map[string]string, len(d.Headers))
	for name, value := range d.Headers {
		if text, ok := value.(string); ok {
			headers[name] = text
		}
	}
	return ports.Message{
		ID:              d.MessageId,
		ContentType:     d.ContentType,
		ContentEncoding: d.ContentEncoding,
		CorrelationID:   d.CorrelationId,
		ReplyTo:         d.ReplyTo,
		Type:            d.Type,
		AppID:           d.AppId,
		Timestamp:       d.Timestamp.UTC(),
		Headers:         headers,
		Body:            d.Body,
	}
}
