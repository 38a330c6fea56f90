package rabbitmq

import (
	"cmp"
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

// DefaultPrefetch is the default of Options.Prefetch. RabbitMQ's manual advises 100
// to 300; more helps handlers whose writes are gathered into batches.
const DefaultPrefetch = dispatch.DefaultPrefetch

// Consumer hands the events of one queue to a handler.
type Consumer struct {
	broker         *Broker
	topology       Topology
	invalid        error         // why RabbitMQ can't have the topology, or nil
	maxPause       time.Duration // maxPause; shorter in tests
	replaceTimeout time.Duration // replaceTimeout; longer in tests
	mu             sync.Mutex
	running        map[*intake]struct{} // of the calls of Consume
}

var (
	_ ports.EventQueue = (*Consumer)(nil)
)

func newConsumer(b *Broker, subscription string) *Consumer {
	t := b.options.Topology.of(subscription)
	return &Consumer{
		broker: b, topology: t, invalid: t.check(),
		maxPause: maxPause, replaceTimeout: replaceTimeout, running: make(map[*intake]struct{}),
	}
}

// Consume implements [ports.EventConsumer]. It returns a [*TopologyError] or
// [*InvalidTopologyError] at any time. If it has not consumed yet, it returns
// [ports.ErrRefused] at the second refusal of a login or right; the first may come
// from a broker that stops during the login.
func (c *Consumer) Consume(ctx context.Context, handle ports.Handler) error {
	if handle == nil {
		return errors.New("consume events: the handler is nil")
	}
	queue := c.topology.consumed()
	if c.invalid != nil {
		return fmt.Errorf("consume from queue %q: %w", queue, c.invalid)
	}
	o, subscription, routes := c.broker.options, c.topology.subscription, c.topology.handingOver()
	w := &work{
		in:     newIntake(c.broker.endpoint("orderflow consumer", subscription, routes), queue, c.prefetch()),
		out:    newLink(c.broker.endpoint("orderflow hand-over", subscription, routes), startPipeline),
		handle: handle,
		limits: dispatch.Limits{Timeout: o.HandleTimeout, StopTimeout: o.StopTimeout},
	}
	w.in.maxPause, w.out.replaceTimeout = c.maxPause, c.replaceTimeout
	defer closeAll(w.in.link, w.out)
	c.mu.Lock()
	c.running[w.in] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.running, w.in)
		c.mu.Unlock()
	}()

	if err := w.in.run(ctx, w.begin); err != nil {
		return fmt.Errorf("consume from queue %q: %w", queue, err)
	}
	return nil
}

func (c *Consumer) prefetch() int {
	o := c.broker.options
	return min(dispatch.Prefetch(o.SubscriptionPrefetch[c.topology.subscription], o.Prefetch), math.MaxUint16)
}

// Ping returns nil if Consume is running and its connection answers.
func (c *Consumer) Ping(ctx context.Context) error {
	if c.invalid != nil {
		return fmt.Errorf("ping broker: %w", c.invalid)
	}
	c.mu.Lock()
	running := slices.Collect(maps.Keys(c.running))
	c.mu.Unlock()
	if len(running) == 0 {
		return fmt.Errorf("ping broker: %w: not consuming", ports.ErrUnavailable)
	}
	for _, in := range running {
		if err := in.link.ping(ctx); err != nil {
			return fmt.Errorf("ping broker: %w", err)
		}
	}
	return nil
}

// System returns the product's name in traces.
func (c *Consumer) System() string { return "rabbitmq" }

// DeleteCommand returns the command that deletes the queue, for operators.
func (c *Consumer) DeleteCommand() string {
	return fmt.Sprintf("rabbitmqctl delete_queue --vhost %s %s",
		shellQuote(c.broker.endpoint("", "", nil).uri().Vhost), shellQuote(c.topology.consumed()))
}

// work is one call of Consume.
type work struct {
	in     *intake
	out    *link // another connection, because a broker short of memory or disk blocks those that publish
	handle ports.Handler
	limits dispatch.Limits
}

// begin decodes the delivery and returns a function that handles the event.
func (w *work) begin(ctx context.Context, s *session, d amqp.Delivery) (domain.OrderID, func() bool) {
	event, decodeErr := wire.Decode(wireMessage(republishing(d)))
	return event.Order.ID, func() bool {
		failure := ports.Permanent(decodeErr)
		if failure == nil {
			failure = w.limits.Call(ctx, func(ctx context.Context) error {
				return w.handle(ctx, ports.Delivery{Event: event, Attempt: failedAttempts(d.Headers) + 1})
			})
		}
		if failure == nil {
			return true
		}
		sent, ok := w.out.replace(ctx, s, afterFailure(w.out.topology, d, failure, time.Now()))
		if ok {
			w.logFailure(ctx, event.ID, sent, failure)
		}
		return ok
	}
}

// afterFailure returns the message that replaces a failed one: for a retry queue, or
// a dead letter.
func afterFailure(t Topology, d amqp.Delivery, reason error, now time.Time) message {
	m := message{exchange: t.deadLetters(), Publishing: republishing(d)}
	m.Headers = sendersHeaders(d.Headers)
	m.MessageId = cmp.Or(d.MessageId, wire.NewID()) // returns are matched by it
	if ports.IsPostponed(reason) {
		m.exchange, m.key = amqp.DefaultExchange, t.retryQueue(t.Delays[0])
		return m
	}
	failure := writtenFailure(d.Headers)
	failure.Reason = reason.Error()
	failure.Attempts++
	failure.FirstFailure = cmp.Or(failure.FirstFailure, now)
	failure.LastFailure = now
	writeFailure(m.Headers, t.subscription, failure)
	if failure.Attempts <= len(t.Delays) && !ports.IsPermanent(reason) {
		m.exchange, m.key = amqp.DefaultExchange, t.retryQueue(t.Delays[failure.Attempts-1])
	}
	return m
}

// logFailure logs a dead letter by its id in the store, and an event that comes
// again by the event's id.
func (w *work) logFailure(ctx context.Context, event domain.EventID, m message, failure error) {
	delays, log := w.out.topology.Delays, w.in.link.log.logger
	attempts := failedAttempts(m.Headers)
	reason := bounded(failure.Error())
	switch {
	case m.exchange != amqp.DefaultExchange:
		log.WarnContext(ctx, "message is set aside as a dead letter", "id", letterID(w.out.topology.subscription, m.Publishing), "attempts", attempts, "reason", reason)
	case ports.IsPostponed(failure): // the handler logs its own outage
		log.DebugContext(ctx, "event is postponed", "event_id", event, "attempts", attempts, "again_in", delays[0].String(), "reason", reason)
	default:
		log.WarnContext(ctx, "attempt failed; the event comes again", "event_id", event, "attempts", attempts, "again_in", delays[attempts-1].String(), "reason", reason)
	}
}
