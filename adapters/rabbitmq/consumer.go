package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
// nothing else is set.
const DefaultPrefetch = 200

const (
	consumerTag  = "orderflow"
	leaveTimeout = 2 * time.Second // to take leave of the broker
)

// Consumer hands the queue's events to a handler. Each call of Consume is a
// consumer of its own, with its own connections.
type Consumer struct {
	// To be set before first use, if at all.
	Topology      Topology
	Prefetch      int           // how many events to have in hand at most; 0: DefaultPrefetch
	HandleTimeout time.Duration // how long a handler may take; 0: 30 s
	StopTimeout   time.Duration // how long it may take once Consume is to stop; 0: 5 s
	Logger        *slog.Logger  // nil: slog.Default()

	url     string
	mu      sync.Mutex
	running map[*link]struct{}
}

var (
	_ ports.EventConsumer = (*Consumer)(nil)
	_ ports.Pinger        = (*Consumer)(nil)
)

// NewConsumer returns a consumer of the broker at the URL. It does not connect
// yet; an error means that the URL is none.
func NewConsumer(url string) (*Consumer, error) {
	if err := checkURL(url); err != nil {
		return nil, err
	}
	return &Consumer{url: url, running: make(map[*link]struct{})}, nil
}

// Consume consumes as the contract has it. A login that is refused at the
// start is an error once it was refused twice, for a broker that goes down
// during a login looks the same; a [*TopologyError] is one at any time.
func (c *Consumer) Consume(ctx context.Context, handle ports.Handler) error {
	prefetch := c.Prefetch
	if prefetch <= 0 {
		prefetch = DefaultPrefetch
	}
	prefetch = min(prefetch, math.MaxUint16)
	in := newEndpoint(c.url, "orderflow consumer", c.Topology, c.Logger)
	out := newEndpoint(c.url, "orderflow hand-over", c.Topology, c.Logger)
	w := &work{
		in:     newLink(in, func(s *session) error { return subscribe(s, in.topology.Queue, prefetch) }),
		out:    newLink(out, startPipeline),
		log:    in.log.logger,
		handle: handle,
		limits: dispatch.Limits{Timeout: c.HandleTimeout, StopTimeout: c.StopTimeout},
		slots:  make(chan struct{}, prefetch),
	}
	defer w.close()
	c.mu.Lock()
	c.running[w.in] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.running, w.in)
		c.mu.Unlock()
	}()

	err := w.consume(ctx)
	w.handlers.Wait()
	if err != nil {
		return fmt.Errorf("consume from queue %q: %w", in.topology.Queue, err)
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

// subscribe makes s a session that consumes.
func subscribe(s *session, queue string, prefetch int) (err error) {
	if err := s.ch.Qos(prefetch, 0, false); err != nil {
		return fmt.Errorf("set prefetch: %w", err)
	}
	s.deliveries, err = s.ch.Consume(queue, consumerTag, false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("subscribe to queue %q: %w", queue, err)
	}
	return nil
}

// work is one call of Consume.
type work struct {
	in, out *link // separate, for a broker short of memory or disk stops who publishes
	log     *slog.Logger
	handle  ports.Handler
	limits  dispatch.Limits

	handlers dispatch.Group
	slots    chan struct{} // one for each event in hand, over all sessions
}

func (w *work) close() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	w.in.close(ctx)
	w.out.close(ctx)
}

// consume consumes in one session after the other.
func (w *work) consume(ctx context.Context) error {
	connected, refusals := false, 0
	for ctx.Err() == nil {
		s, err := w.in.session(ctx)
		if err == nil {
			connected = true
			w.receive(ctx, s)
			continue
		}
		var topology *TopologyError
		if errors.As(err, &topology) {
			return err
		}
		if isRefusal(err) {
			refusals++
		}
		if refusals == 2 && !connected {
			return err
		}
		w.in.pause(ctx)
	}
	return nil
}

// receive takes deliveries until the session ends, or until ctx has ended and
// the broker sends no more.
func (w *work) receive(ctx context.Context, s *session) {
	cancelled := make(chan struct{})
	s.wg.Go(func() {
		defer close(cancelled)
		select {
		case <-ctx.Done():
			s.ask(func() error { return s.ch.Cancel(consumerTag, false) })
		case <-s.life.Done():
		}
	})
	for d := range s.deliveries {
		select {
		case w.slots <- struct{}{}:
		case <-s.life.Done():
			continue // what is left is handed out again
		}
		event, decodeErr := wire.Decode(wireMessage(d))
		w.handlers.Go(event.Order.ID, func() {
			defer func() { <-w.slots }()
			// To settle a delivery fails only if the session is over, and then
			// the broker takes the delivery back by itself.
			if w.deal(ctx, s, d, event, ports.Permanent(decodeErr)) {
				d.Ack(false)
				return
			}
			<-cancelled // or it would come straight back
			d.Nack(false, true)
		})
	}
	if s.ch.IsClosed() {
		<-s.life.Done() // it ends with the reason for that
	} else if ctx.Err() == nil {
		s.end(errors.New("the broker ended the subscription, as it does when the queue is deleted"))
	}
}

// deal has the event handled, unless it was none, and hands over what failed.
// It reports whether the delivery is dealt with, and not to be given back.
func (w *work) deal(ctx context.Context, s *session, d amqp.Delivery, event domain.Event, failure error) bool {
	if s.life.Err() != nil || ctx.Err() != nil { // over while it waited for its turn
		return false
	}
	if failure == nil {
		failure = w.limits.Handle(ctx, w.handle, ports.Delivery{Event: event, Attempt: failedAttempts(d) + 1})
	}
	return failure == nil || w.handOver(ctx, s, d, failure)
}

func wireMessage(d amqp.Delivery) wire.Message {
	headers := make(map[string]string, len(d.Headers))
	for name, value := range d.Headers {
		if text, ok := value.(string); ok {
			headers[name] = text
		}
	}
	return wire.Message{Headers: headers, Body: d.Body}
}
