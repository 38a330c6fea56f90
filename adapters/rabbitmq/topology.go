package rabbitmq

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/internal/dispatch"
)

// Topology names what the events run through. The zero Topology is the usual
// one. Publishers, consumers and dead-letter queues all declare the whole of it
// whenever they connect, so none has to come first; they meet if their
// topologies are the same.
//
//	Exchange ── order.created ──▶ Queue ──▶ consumer
//	                               ▲ ▲         │ fails
//	                               │ │ later   ▼
//	                               │ Queue.retry.1s, Queue.retry.10s, …
//	                               │           │ fails for good
//	                               │ replayed  ▼
//	                               └── Queue.dead-letter ──▶ drained
//	                                           │ can't even be read
//	                                           ▼
//	                                   Queue.unreadable
type Topology struct {
	Exchange string          // "orders" if empty
	Queue    string          // "order_created" if empty; the other queues' names begin with it
	Delays   []time.Duration // between one attempt and the next, from 1 ms to some 49 days; empty: 1s, 10s, 1m, 10m
}

// TopologyError says that an exchange or a queue is there with other
// properties than the topology asks for. RabbitMQ can't change those, so no
// repetition helps: somebody has to decide what becomes of it.
type TopologyError struct {
	Kind   string // "exchange" or "queue"
	Name   string
	Vhost  string
	Reason string // what is wanted and what is there, in the broker's words
}

func (e *TopologyError) Error() string {
	remove := "delete it on the broker's management page"
	if e.Kind == "queue" {
		remove = fmt.Sprintf("have the consumers it was made for empty it, delete it by \"rabbitmqctl delete_queue --vhost %s %s\"",
			shellQuote(e.Vhost), shellQuote(e.Name))
	}
	return fmt.Sprintf("%s %q is there with other properties, and RabbitMQ can't change them (%s): "+
		"either %s and start again; or leave it and use another vhost, the path of the broker's URL "+
		"(\"rabbitmqctl add_vhost NAME\" makes one), or in code another Topology",
		e.Kind, e.Name, e.Reason, remove)
}

// InvalidTopologyError is returned when RabbitMQ can't have what a [Topology]
// asks for, be it there or not.
type InvalidTopologyError struct {
	Part   string // a field of Topology, or what the broker did not make
	Reason string
}

func (e *InvalidTopologyError) Error() string {
	return fmt.Sprintf("topology can't be used: %s: %s", e.Part, e.Reason)
}

// isOfTopology reports whether the error says that the topology has to change,
// or what is there of it. No repetition helps.
func isOfTopology(err error) bool {
	var other *TopologyError
	var invalid *InvalidTopologyError
	return errors.As(err, &other) || errors.As(err, &invalid)
}

// maxDelay is the longest that RabbitMQ lets a message wait.
const maxDelay = math.MaxUint32 * time.Millisecond

// check returns an [*InvalidTopologyError] unless RabbitMQ can have the topology.
func (t Topology) check() error {
	invalid := func(part, format string, args ...any) error {
		return &InvalidTopologyError{part, fmt.Sprintf(format, args...)}
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
	names := []struct{ part, name string }{{"Exchange", t.Exchange}}
	for _, q := range t.queues() {
		names = append(names, struct{ part, name string }{"Queue", q.name})
	}
	for _, n := range names {
		switch {
		case len(n.name) > maxShort:
			return invalid(n.part, "the name %.40q… has %d bytes, and RabbitMQ takes %d at most", n.name, len(n.name), maxShort)
		case strings.HasPrefix(n.name, "amq.") && n.name != "amq.topic":
			return invalid(n.part, "the name %q begins with \"amq.\", which RabbitMQ keeps to itself", n.name)
		case !utf8.ValidString(n.name) || strings.ContainsFunc(n.name, unicode.IsControl):
			return invalid(n.part, "the name %q has control characters or is not UTF-8", n.name)
		}
	}
	return nil
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

const (
	// A message that so many consumers had in hand when they crashed or lost
	// their connection is taken for the cause, and dead-lettered by the broker.
	deliveryLimit = 20

	// The same of dead letters. One that can be read may be in hand for long,
	// while the store is away, and at each stop and loss of a connection then.
	letterLimit = 50

	// For queues from which nothing may drop, however often it is looked at. A
	// negative limit, RabbitMQ 4's word for none, loses messages on RabbitMQ 3.
	noDeliveryLimit = 1_000_000_000
)

func (t Topology) withDefaults() Topology {
	t.Exchange = cmp.Or(t.Exchange, "orders")
	t.Queue = cmp.Or(t.Queue, "order_created")
	if len(t.Delays) == 0 {
		t.Delays = dispatch.DefaultDelays()
	}
	return t
}

// deadLetters is the name of the exchange that dead letters go to and of the
// queue behind it.
func (t Topology) deadLetters() string { return t.Queue + ".dead-letter" }

// unreadable is the name of the queue for dead letters that break the
// connection of whoever takes them. Nobody here does.
func (t Topology) unreadable() string { return t.Queue + ".unreadable" }

// retryQueue is the name of the queue in which messages wait for d. Each delay
// has its own, for a message leaves such a queue only at its head.
func (t Topology) retryQueue(d time.Duration) string {
	delay := d.String()
	if minutes, ok := strings.CutSuffix(delay, "m0s"); ok {
		delay = minutes + "m"
	}
	if hours, ok := strings.CutSuffix(delay, "h0m"); ok {
		delay = hours + "h"
	}
	return t.Queue + ".retry." + delay
}

type queue struct {
	name string
	args amqp.Table
}

func (t Topology) queues() []queue {
	queues := []queue{
		{t.unreadable(), amqp.Table{
			amqp.QueueTypeArg:  amqp.QueueTypeQuorum,
			"x-delivery-limit": noDeliveryLimit,
		}},
		{t.deadLetters(), atLeastOnce(amqp.DefaultExchange, t.unreadable(), letterLimit)},
		{t.Queue, atLeastOnce(t.deadLetters(), "", deliveryLimit)},
	}
	for _, d := range t.Delays {
		args := atLeastOnce(amqp.DefaultExchange, t.Queue, noDeliveryLimit)
		args[amqp.QueueMessageTTLArg] = d.Milliseconds()
		queues = append(queues, queue{t.retryQueue(d), args})
	}
	return queues
}

// atLeastOnce makes a queue that keeps a message it dead-letters until the
// queue behind it has the message too.
func atLeastOnce(exchange, key string, limit int) amqp.Table {
	args := amqp.Table{
		amqp.QueueTypeArg:        amqp.QueueTypeQuorum,
		"x-delivery-limit":       limit,
		"x-dead-letter-exchange": exchange,
		"x-dead-letter-strategy": "at-least-once",
		amqp.QueueOverflowArg:    amqp.QueueOverflowRejectPublish, // the strategy asks for it
	}
	if key != "" {
		args["x-dead-letter-routing-key"] = key
	}
	return args
}
