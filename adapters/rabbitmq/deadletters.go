package rabbitmq

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/internal/dispatch"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const (
	drainPrefetch  = 50
	drainPause     = 10 * time.Second // before keep gets a letter again
	crowdedDivisor = 20               // divides the pause while many letters pause
)

// DeadLetterQueue drains and replays the topology's dead letters.
type DeadLetterQueue struct {
	broker *Broker
	pause  time.Duration // drainPause; shorter in tests
	link   *link         // publishes

	mu      sync.Mutex
	running map[*intake]struct{} // of the calls of Drain
}

var _ ports.DeadLetterQueue = (*DeadLetterQueue)(nil)

func newDeadLetterQueue(b *Broker) *DeadLetterQueue {
	out := newLink(b.endpoint("orderflow replay", "", b.options.Topology.replaying()), startPipeline)
	return &DeadLetterQueue{broker: b, pause: drainPause, link: out, running: make(map[*intake]struct{})}
}

// Drain implements [ports.DeadLetterQueue]. It returns the errors of
// [Consumer.Consume].
func (q *DeadLetterQueue) Drain(ctx context.Context, keep func(context.Context, ports.DeadLetter) error) error {
	if keep == nil {
		return errors.New("drain dead letters: keep is nil")
	}
	e := q.broker.endpoint("orderflow dead letters", "", q.link.routes)
	queue := e.topology.deadLetters()
	d := &drain{
		in:     newIntake(e, queue, drainPrefetch),
		out:    q.link,
		keep:   keep,
		limits: dispatch.Limits{StopTimeout: q.broker.options.StopTimeout},
		pause:  q.pause,
	}
	d.crowded = d.in.room.crowded
	defer closeAll(d.in.link)
	q.mu.Lock()
	q.running[d.in] = struct{}{}
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		delete(q.running, d.in)
		q.mu.Unlock()
	}()
	if err := d.in.run(ctx, d.begin); err != nil {
		return fmt.Errorf("drain queue %q: %w", queue, err)
	}
	return nil
}

// SetAside publishes the event as its subscription's consumer does.
func (q *DeadLetterQueue) SetAside(ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
	t := q.link.topology.of(subscription)
	err := t.check()
	if err == nil {
		m := eventMessage(t.deadLetters(), event)
		if m.invalid == nil {
			writeFailure(m.Headers, subscription, failure)
		}
		err = q.link.publish(ctx, m)[0]
	}
	if err != nil {
		return fmt.Errorf("set event %s aside: %w", event.ID, err)
	}
	return nil
}

// Replay publishes the message to the queue of the letter's subscription. All of its
// headers are text, even if the sender's were not.
func (q *DeadLetterQueue) Replay(ctx context.Context, letter ports.DeadLetter) error {
	t := q.link.topology.of(letter.Subscription)
	err := t.check()
	if err == nil {
		m := letter.Message
		m.Body = bytes.Clone(m.Body) // publish may send it after Replay has returned
		err = q.link.publish(ctx, letterMessage(letter.ID, m, t.consumed()))[0]
	}
	if err != nil {
		return fmt.Errorf("replay dead letter %s: %w", letter.ID, err)
	}
	return nil
}

// drain is one call of Drain.
type drain struct {
	in     *intake
	out    *link
	keep   func(context.Context, ports.DeadLetter) error
	limits dispatch.Limits
	pause  time.Duration
	held   atomic.Int64 // letters in hold

	crowded func() bool // reports whether the unsettled letters take much room; nil: never
}

// begin calls keep. If keep fails, begin publishes the letter again, at the end of
// the queue. RabbitMQ puts a requeued message at the head, where enough failing
// letters would block all others. Before keep gets an incomplete letter, or one
// whose headers leave too little room in a frame, begin publishes its correction.
func (dr *drain) begin(ctx context.Context, s *session, d amqp.Delivery) (domain.OrderID, func() bool) {
	return "", func() bool {
		topology := dr.out.topology
		letter, complete := readLetter(topology, d, time.Now())
		_, leftOut := fit(requeued(topology, letter).Publishing, s.conn.Config.FrameSize)
		if complete && len(leftOut) == 0 { // without the left-out headers, a message that is not an event has another id
			err := dr.limits.Call(ctx, func(ctx context.Context) error {
				return dr.keep(ctx, letter)
			})
			if err == nil {
				return true
			}
			if !errors.Is(err, ports.ErrUnavailable) { // keep logs an outage itself, once for all letters
				dr.in.link.log.logger.Warn("dead letter was not kept; it comes again", "id", letter.ID, "error", bounded(err.Error()))
			}
			if !dr.hold(ctx, s) {
				return false
			}
			letter, _ = readLetter(topology, d, time.Now()) // keep may have changed its copy
		}
		_, ok := dr.out.replace(ctx, s, requeued(topology, letter))
		return ok
	}
}

// hold pauses with an unsettled letter, and returns false if the session or ctx ends
// first. Many letters pause briefly, so that they leave room for others.
func (dr *drain) hold(ctx context.Context, s *session) bool {
	defer dr.held.Add(-1)
	pause := dr.pause
	if dr.held.Add(1) > drainPrefetch/2 || dr.crowded != nil && dr.crowded() {
		pause /= crowdedDivisor
	}
	return s.pause(ctx, pause)
}

// readLetter reads a delivery from the dead-letter queue. A letter without a message
// id or a time of failure is incomplete: each reading would make up other values.
func readLetter(t Topology, d amqp.Delivery, now time.Time) (letter ports.DeadLetter, complete bool) {
	subscription, failure := letterFailure(t, d)
	known := !failure.LastFailure.IsZero()
	if !known {
		at := domain.TruncateTime(now)
		failure = ports.Failure{Reason: "put into the dead-letter queue by another program", FirstFailure: at, LastFailure: at}
	}
	complete = known && d.MessageId != ""
	d.MessageId = cmp.Or(d.MessageId, wire.NewID())
	d.Headers = textHeaders(d.Headers)
	return wire.DeadLetter(subscription, wireMessage(republishing(d)), failure), complete
}

// letterFailure returns from which subscription's queue, why and when the message was
// set aside. The failure is zero if the message does not say it. If the broker
// dead-lettered it from a consumer's queue, its header x-death says so; our consumers'
// dead letters have no such header.
func letterFailure(t Topology, d amqp.Delivery) (subscription string, failure ports.Failure) {
	failure = writtenFailure(d.Headers)
	if name, _ := d.Headers[headerSubscription].(string); wire.CheckSubscription(name) == nil {
		subscription = name
	}
	deaths, _ := d.Headers["x-death"].([]any) // the latest first
	for _, entry := range deaths {
		death, _ := entry.(amqp.Table)
		queue, _ := death["queue"].(string)
		name, ok := t.subscriptionOf(queue)
		if !ok {
			continue
		}
		subscription = name
		at, _ := death["time"].(time.Time)
		failure.LastFailure = at.UTC()
		reason, _ := death["reason"].(string)
		failure.Reason = fmt.Sprintf("set aside by the broker: %s", reason)
		if reason == "delivery_limit" {
			failure.Reason = fmt.Sprintf("set aside by the broker: %d times a consumer crashed or lost its connection before it acknowledged the message",
				deliveryLimit+1)
			failure.Attempts += deliveryLimit + 1
		}
		break
	}
	if first := failure.FirstFailure; first.IsZero() || first.After(failure.LastFailure) { // the broker's time is in seconds
		failure.FirstFailure = failure.LastFailure
	}
	return subscription, failure
}

// letterID returns the id that the message has as a dead letter of the subscription.
func letterID(subscription string, p amqp.Publishing) string {
	p.Headers = textHeaders(p.Headers)
	return wire.DeadLetterID(subscription, wireMessage(p))
}

// textHeaders returns the sender's headers as text, shortened to fit into a frame.
func textHeaders(headers amqp.Table) amqp.Table {
	text := make(amqp.Table, len(headers))
	for name, value := range sendersHeaders(headers) {
		switch v := value.(type) {
		case []byte:
			text[name] = string(v)
		case time.Time:
			text[name] = v.UTC().Format(time.RFC3339)
		default:
			text[name] = fmt.Sprint(v)
		}
	}
	maps.DeleteFunc(text, func(name string, _ any) bool { return strings.HasPrefix(name, headerPrefix) })
	text, _ = shorten(text, maxHeaders, 0)
	return text
}

// letterMessage returns the message of the letter with that id, for that queue.
// Both messages share one body.
func letterMessage(id string, m ports.Message, queue string) message {
	p := publishing(m)
	p.Headers = textHeaders(p.Headers)
	p.MessageId = cmp.Or(p.MessageId, id)
	return message{exchange: amqp.DefaultExchange, key: queue, Publishing: p}
}

// requeued returns a message for the dead-letter queue that readLetter reads as the
// same letter.
func requeued(t Topology, letter ports.DeadLetter) message {
	m := letterMessage(letter.ID, letter.Message, t.deadLetters())
	writeFailure(m.Headers, letter.Subscription, letter.Failure)
	return m
}
