package rabbitmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Broker hands out the parts that the services use, the same part each time.
// All have one topology.
type Broker struct {
	url         string
	options     Options
	publisher   *Publisher
	deadLetters *DeadLetterQueue
	queues      *link // asks about queues

	mu        sync.Mutex
	consumers map[string]*Consumer // by subscription
}

// Options configure a [Broker]. All fields have useful zero values.
type Options struct {
	Topology      Topology
	Prefetch      int           // the most unacknowledged events of a consumer; 0 or less: DefaultPrefetch
	HandleTimeout time.Duration // how long a handler may take; 0 or less: 30 s
	StopTimeout   time.Duration // how long a handler may take after Consume or Drain was stopped; 0 or less: 5 s
	Logger        *slog.Logger  // nil: slog.Default()

	// SubscriptionPrefetch replaces Prefetch for the subscriptions with these names.
	SubscriptionPrefetch map[string]int
}

// Open returns the broker at the URL. It does not connect: each part connects
// when it is first used, and again when it has lost its connection. Open returns
// an error if the URL or one of its options can't be used, and an
// [*InvalidTopologyError] if RabbitMQ can't have the topology.
func Open(url string, options Options) (*Broker, error) {
	if err := checkURL(url); err != nil {
		return nil, err
	}
	options.Topology = options.Topology.withDefaults()
	if err := options.Topology.check(); err != nil {
		return nil, fmt.Errorf("open broker: %w", err)
	}
	options.Logger = cmp.Or(options.Logger, slog.Default())
	b := &Broker{url: url, options: options, consumers: make(map[string]*Consumer)}
	b.publisher = newPublisher(b)
	b.deadLetters = newDeadLetterQueue(b)
	looking := b.endpoint("orderflow queues", "", nil)
	looking.declaresNothing = true
	b.queues = newLink(looking, func(*session) error { return nil })
	return b, nil
}

// Publisher returns the publisher. It has a connection of its own.
func (b *Broker) Publisher() *Publisher { return b.publisher }

// Consumer returns the consumer of the topology's main queue. Each call of Consume
// has connections of its own.
func (b *Broker) Consumer() *Consumer { return b.Subscription("") }

// Subscription returns the consumer of the subscription's queue, which exists from
// the time on at which it consumes first. An empty name is the main queue's. The
// consumer's methods return an [*InvalidTopologyError] for a name that
// [wire.CheckSubscription] refuses, or that makes a queue's name too long.
func (b *Broker) Subscription(name string) *Consumer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.consumers[name] == nil {
		b.consumers[name] = newConsumer(b, name)
	}
	return b.consumers[name]
}

// DeadLetterQueue returns the queue of the dead letters. Each call of Drain has a
// connection of its own; all calls of Replay and SetAside share another.
func (b *Broker) DeadLetterQueue() *DeadLetterQueue { return b.deadLetters }

// Close ends the connections of Publish, Replay, SetAside and Depth. Their calls,
// pending and later ones, return [ports.ErrUnavailable]. Consume and Drain end with their
// contexts; call Close after they have returned.
func (b *Broker) Close(ctx context.Context) error {
	var parts sync.WaitGroup
	for _, l := range []*link{b.publisher.link, b.deadLetters.link, b.queues} {
		parts.Go(func() { l.close(ctx) })
	}
	parts.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("close connections to the broker: %w", err)
	}
	return nil
}

// endpoint returns the broker for a connection of that name, which the parts of a
// subscription extend by the subscription's.
func (b *Broker) endpoint(name, subscription string, routes []route) endpoint {
	if subscription != "" {
		name += " " + subscription
	}
	return endpoint{
		url: b.url, name: name, topology: b.options.Topology.of(subscription), routes: routes,
		log: &stateLog{logger: b.options.Logger.With("connection", name)},
	}
}

// endpoint is the broker that sessions connect to, and the use of the connection.
type endpoint struct {
	url      string
	name     string // of the connection, for operators
	topology Topology
	routes   []route // that the connection's user must be allowed to publish to
	log      *stateLog

	declaresNothing bool // of the topology
}

// open connects, declares the topology and calls setUp with the session.
func (e endpoint) open(ctx context.Context, setUp func(*session) error) (*session, error) {
	timeout := cmp.Or(time.Duration(e.uri().ConnectionTimeout)*time.Millisecond, connectTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not connected within %v", timeout))
	defer cancel()
	s := &session{endpoint: e, questions: make(chan func())}
	s.lifetime, s.end = context.WithCancelCause(context.Background())
	defer context.AfterFunc(ctx, func() { s.end(context.Cause(ctx)) })()

	watch, err := s.connect(ctx)
	if err != nil {
		s.end(err) // unless a failed write has, which is a better reason than the library's later error
		s.wg.Wait()
		return nil, cmp.Or(context.Cause(ctx), e.explain(e.explainTLS(ctx, context.Cause(s.lifetime))))
	}
	if !e.declaresNothing {
		err = e.topology.declare(s.conn)
	}
	if err == nil {
		err = checkRoutes(s.conn, e.routes)
	}
	if err == nil {
		err = setUp(s)
	}
	if err != nil {
		s.end(e.explain(err))
		s.wg.Wait()
		return nil, cmp.Or(context.Cause(ctx), context.Cause(s.lifetime)) // a failed write is a better reason than the library's later error
	}
	s.wg.Go(watch)
	s.wg.Go(s.askQuestions)
	return s, nil
}

// declares reports whether each session declares what the message is published to.
func (e endpoint) declares(m message) bool {
	isTarget := func(q queue) bool { return q.name == m.key }
	return m.exchange != amqp.DefaultExchange || slices.ContainsFunc(e.topology.queues(), isTarget)
}

// uri returns the parts of the URL.
func (e endpoint) uri() amqp.URI {
	uri, _ := amqp.ParseURI(e.url) // Open has checked it
	return uri
}

// explain adds to a refusal how to allow the login or the right.
func (e endpoint) explain(err error) error {
	if errors.Is(err, amqp.ErrCredentials) || errors.Is(err, amqp.ErrSASL) {
		return &refusal{err, "check user, password and auth_mechanism in the broker's URL; guest may log in from the broker's own machine only"}
	}
	vhost := shellQuote(e.uri().Vhost)
	switch kind, user, refused := rightRefused(err); {
	case !refused:
		return err
	case kind == "topic":
		return &refusal{err, fmt.Sprintf("allow the routing key with \"rabbitmqctl clear_topic_permissions -p %s %s\" or set_topic_permissions", vhost, shellQuote(user))}
	default:
		return &refusal{err, fmt.Sprintf("allow it, for example with \"rabbitmqctl set_permissions -p %s %s %s\", which replaces the user's permissions there",
			vhost, shellQuote(user), e.topology.permissions())}
	}
}
