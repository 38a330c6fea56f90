package rabbitmq

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/internal/dispatch"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
)

// Topology names the exchange and the queues. The zero Topology has the default
// names and delays. Each part of a [Broker] declares all of this whenever it connects,
// so the parts may start in any order:
//
//	Exchange ── order.created ──▶ Queue ──▶ consumer
//	                               ▲ ▲         │ fails
//	                               │ │ later   ▼
//	                               │ Queue.retry.1s, Queue.retry.10s, …
//	                               │           │ fails finally
//	                               │ replayed  ▼
//	                               └── Queue.dead-letter ──▶ drained
//	                                           │ unreadable
//	                                           ▼
//	                                   Queue.unreadable
//
// The consumer of a subscription also declares the subscription's own queues,
// Queue.NAME and Queue.NAME.retry.1s and so on. They are connected as the main queue
// and its retry queues are, and to the same dead letters. A subscription shares no
// retry queue with others: while the broker can't dead-letter some messages, because
// their queue is full or deleted, it dead-letters no others from the same queue.
type Topology struct {
	Exchange string          // default: "orders"
	Queue    string          // the main queue; default: "order_created"; the names of the other queues begin with it
	Delays   []time.Duration // between two attempts, from 1 ms to 49 days; default: 1s, 10s, 1m, 10m

	subscription string // whose consumer uses the topology; empty: the main queue's, or another part
}

const (
	// The broker dead-letters a message after more than this many deliveries to
	// consumers that crashed or lost their connection: the message may be the cause.
	deliveryLimit = 20

	// The limit for dead letters. While the store is down, a readable letter may be
	// unacknowledged at many stops and lost connections.
	letterLimit = 50

	// For queues that must never drop a message. A negative limit, which means none
	// to RabbitMQ 4, loses messages on RabbitMQ 3.
	noDeliveryLimit = 1_000_000_000

	// maxDelay is the longest TTL that RabbitMQ takes.
	maxDelay = math.MaxUint32 * time.Millisecond
)

func (t Topology) withDefaults() Topology {
	t.Exchange = cmp.Or(t.Exchange, "orders")
	t.Queue = cmp.Or(t.Queue, "order_created")
	if len(t.Delays) == 0 {
		t.Delays = dispatch.DefaultDelays()
	}
	return t
}

// of returns the topology as the consumer of the subscription uses it.
func (t Topology) of(subscription string) Topology {
	t.subscription = subscription
	return t
}

// check returns an [*InvalidTopologyError] unless RabbitMQ accepts the topology.
func (t Topology) check() error {
	invalid := func(part, format string, args ...any) error {
		return &InvalidTopologyError{part, fmt.Sprintf(format, args...)}
	}
	if err := wire.CheckSubscription(t.subscription); err != nil {
		return invalid("Subscription", "%v", err)
	}
	for i, d := range t.Delays {
		part := fmt.Sprintf("Delays[%d]", i)
		switch {
		case d < time.Millisecond:
			return invalid(part, "%v is shorter than a millisecond", d)
		case d > maxDelay:
			return invalid(part, "%v is longer than %v, RabbitMQ's longest", d, maxDelay)
		}
	}
	type named struct{ part, name string }
	names := []named{{"Exchange", t.Exchange}}
	for _, q := range t.queues() {
		names = append(names, named{"Queue", q.name})
	}
	for _, n := range names {
		switch {
		case len(n.name) > maxShort:
			return invalid(n.part, "the name %.40q… has %d bytes, and RabbitMQ takes %d at most", n.name, len(n.name), maxShort)
		case strings.HasPrefix(n.name, "amq.") && n.name != "amq.topic":
			return invalid(n.part, "the name %q begins with \"amq.\", which RabbitMQ reserves for itself", n.name)
		case !utf8.ValidString(n.name) || strings.ContainsFunc(n.name, unicode.IsControl):
			return invalid(n.part, "the name %q has control characters or is not UTF-8", n.name)
		}
	}
	return nil
}

// deadLetters returns the name of the exchange for dead letters and of its queue.
func (t Topology) deadLetters() string { return t.Queue + ".dead-letter" }

// unreadable returns the name of the queue for dead letters that break their
// receiver's connection. No part consumes from it.
func (t Topology) unreadable() string { return t.Queue + ".unreadable" }

// consumed returns the name of the queue from which the consumer gets its events.
func (t Topology) consumed() string {
	if t.subscription == "" {
		return t.Queue
	}
	return t.Queue + "." + t.subscription
}

// subscriptionOf returns the subscription whose consumer gets its events from the
// queue. It reports false for the other queues.
func (t Topology) subscriptionOf(queue string) (name string, ok bool) {
	if queue == t.Queue {
		return "", true
	}
	name, ok = strings.CutPrefix(queue, t.Queue+".")
	return name, ok && name != "" && wire.CheckSubscription(name) == nil
}

// retryQueue returns the name of the queue in which messages wait for d. Each
// delay has its own queue, because messages leave it only at its head.
func (t Topology) retryQueue(d time.Duration) string {
	delay := d.String()
	if minutes, ok := strings.CutSuffix(delay, "m0s"); ok {
		delay = minutes + "m"
	}
	if hours, ok := strings.CutSuffix(delay, "h0m"); ok {
		delay = hours + "h"
	}
	return t.consumed() + ".retry." + delay
}

type exchange struct{ name, kind string }

// declare creates the exchange, or finds out whether it exists.
func (x exchange) declare(ch *amqp.Channel, passive bool) error {
	declare := ch.ExchangeDeclare
	if passive {
		declare = ch.ExchangeDeclarePassive
	}
	return declare(x.name, x.kind, true, false, false, false, nil)
}

func (t Topology) exchanges() []exchange {
	return []exchange{{t.deadLetters(), amqp.ExchangeFanout}, {t.Exchange, amqp.ExchangeTopic}}
}

type queue struct {
	name string
	args amqp.Table
}

// declare creates the queue, or finds out whether it exists.
func (q queue) declare(ch *amqp.Channel, passive bool) error {
	declare := ch.QueueDeclare
	if passive {
		declare = ch.QueueDeclarePassive
	}
	_, err := declare(q.name, true, false, false, false, q.args)
	return err
}

// queues returns the queues that every part declares, and the subscription's.
func (t Topology) queues() []queue {
	queues := append([]queue{
		{t.unreadable(), amqp.Table{
			amqp.QueueTypeArg:  amqp.QueueTypeQuorum,
			"x-delivery-limit": noDeliveryLimit,
		}},
		{t.deadLetters(), atLeastOnce(amqp.DefaultExchange, t.unreadable(), letterLimit)},
	}, t.of("").eventQueues()...)
	if t.subscription != "" {
		queues = append(queues, t.eventQueues()...)
	}
	return queues
}

// eventQueues returns the queue from which the consumer gets its events, and its retry
// queues.
func (t Topology) eventQueues() []queue {
	queues := []queue{{t.consumed(), atLeastOnce(t.deadLetters(), "", deliveryLimit)}}
	for _, d := range t.Delays {
		args := atLeastOnce(amqp.DefaultExchange, t.consumed(), noDeliveryLimit)
		args[amqp.QueueMessageTTLArg] = d.Milliseconds()
		queues = append(queues, queue{t.retryQueue(d), args})
	}
	return queues
}

// atLeastOnce returns the arguments of a queue that keeps a dead-lettered message
// until the next queue has it.
func atLeastOnce(exchange, key string, limit int) amqp.Table {
	args := amqp.Table{
		amqp.QueueTypeArg:        amqp.QueueTypeQuorum,
		"x-delivery-limit":       limit,
		"x-dead-letter-exchange": exchange,
		"x-dead-letter-strategy": "at-least-once",
		amqp.QueueOverflowArg:    amqp.QueueOverflowRejectPublish, // the strategy needs it
	}
	if key != "" {
		args["x-dead-letter-routing-key"] = key
	}
	return args
}

// permissions returns the patterns for configure, write and read that allow a
// user to declare and use the whole topology.
func (t Topology) permissions() string {
	names := fmt.Sprintf(`%s|%s(\..*)?`, regexp.QuoteMeta(t.Exchange), regexp.QuoteMeta(t.Queue))
	own := shellQuote(fmt.Sprintf("^(%s)$", names))
	return own + " " + shellQuote(fmt.Sprintf(`^(%s|amq\.default)$`, names)) + " " + own
}

// declare creates the exchanges, queues and bindings that do not exist yet. If the
// user may not create one, declare only checks that it exists, for which any
// permission is enough. Without any permission, it skips the check: the session
// either does not need the object or fails to use it.
func (t Topology) declare(conn *amqp.Connection) error {
	d := &declaration{conn: conn}
	for _, x := range t.exchanges() {
		if err := d.declare("exchange", x.name, x.declare); err != nil {
			return err
		}
	}
	for _, q := range t.queues() {
		if err := d.declare("queue", q.name, q.declare); err != nil {
			return err
		}
	}
	bindings := []binding{
		{t.deadLetters(), "", t.deadLetters(), false},
		{t.Queue, string(domain.OrderCreated), t.Exchange, false},
	}
	if t.subscription != "" {
		bindings = append(bindings, binding{t.consumed(), string(domain.OrderCreated), t.Exchange, true})
	}
	for _, b := range bindings {
		err := d.on(func(ch *amqp.Channel) error { return ch.QueueBind(b.queue, b.key, b.exchange, false, nil) })
		if _, _, refused := rightRefused(err); err != nil && (b.required || !refused) {
			return fmt.Errorf("bind queue %q to exchange %q: %w", b.queue, b.exchange, err)
		}
	}
	return d.on((*amqp.Channel).Close)
}

// binding is a queue's binding to an exchange. Publishers notice that the main queue
// or the dead letters miss theirs, because no queue takes the message. Nobody would
// notice it of a subscription's queue, so its consumer must have the right to bind it.
type binding struct {
	queue, key, exchange string
	required             bool
}

// declaration declares on its own channel. The broker closes the channel with each
// refusal, so declaration opens another when it needs one.
type declaration struct {
	conn *amqp.Connection
	ch   *amqp.Channel
}

// on calls f with an open channel.
func (d *declaration) on(f func(*amqp.Channel) error) (err error) {
	if d.ch == nil || d.ch.IsClosed() {
		if d.ch, err = d.conn.Channel(); err != nil {
			return err
		}
	}
	return f(d.ch)
}

// declare creates an exchange or a queue. If the user may not create it, declare
// checks that it exists.
func (d *declaration) declare(kind, name string, declare func(ch *amqp.Channel, passive bool) error) error {
	err := d.on(func(ch *amqp.Channel) error { return declare(ch, false) })
	if err == nil {
		return nil
	}
	var e *amqp.Error
	if _, _, refused := rightRefused(err); !refused {
		switch {
		case !errors.As(err, &e):
		case e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, "inequivalent arg"):
			return &TopologyError{Kind: kind, Name: name, Vhost: d.conn.Config.Vhost, Reason: e.Reason}
		case e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, "invalid arg"), strings.Contains(e.Reason, "reserved prefix"):
			return &InvalidTopologyError{fmt.Sprintf("%s %q", kind, name), e.Reason}
		}
		return fmt.Errorf("declare %s %q: %w", kind, name, err)
	}
	lookErr := d.on(func(ch *amqp.Channel) error { return declare(ch, true) })
	if _, _, refused := rightRefused(lookErr); refused || lookErr == nil {
		return nil
	}
	if errors.As(lookErr, &e) && e.Code == amqp.NotFound {
		return fmt.Errorf("declare %s %q, which does not exist: %w", kind, name, err)
	}
	return fmt.Errorf("look for %s %q: %w", kind, name, lookErr)
}

// route is a destination of published messages.
type route struct{ exchange, key string }

func (t Topology) publishing() []route { return []route{{t.Exchange, string(domain.OrderCreated)}} }

func (t Topology) handingOver() []route {
	return []route{{t.deadLetters(), ""}, {amqp.DefaultExchange, t.retryQueue(t.Delays[0])}}
}

func (t Topology) replaying() []route { return []route{{amqp.DefaultExchange, t.Queue}} }

// checkRoutes returns an error unless the user may publish to each route. It
// publishes in a transaction: the broker checks rights and exchanges immediately,
// and the rollback drops the messages.
func checkRoutes(conn *amqp.Connection, routes []route) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	err = ch.Tx()
	for _, r := range routes {
		err = cmp.Or(err, ch.Publish(r.exchange, r.key, false, false, amqp.Publishing{}))
	}
	err = cmp.Or(err, ch.TxRollback(), ch.Close())
	if ch.IsClosed() { // by the broker, maybe before the last call
		if reason := <-closed; reason != nil {
			err = reason
		}
	}
	if err != nil {
		return fmt.Errorf("check whether messages may be published: %w", err)
	}
	return nil
}
