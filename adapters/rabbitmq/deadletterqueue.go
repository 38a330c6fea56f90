package rabbitmq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/internal/dispatch"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const (
	drainPrefetch  = 50
	drainPause     = 10 * time.Second // before keep gets a letter again
	crowdedDivisor = 20               // of the pause, while many letters pause
)

// DeadLetterQueue drains and replays the topology's dead letters. Each call of
// Drain has a connection of its own.
type DeadLetterQueue struct {
	broker *Broker
	pause  time.Duration // drainPause, or less in tests
	link   *link         // publishes
}

var _ ports.DeadLetterQueue = (*DeadLetterQueue)(nil)

func newDeadLetterQueue(b *Broker) *DeadLetterQueue {
	out := newLink(b.endpoint("orderflow replay", b.options.Topology.replaying()), startPipeline)
	return &DeadLetterQueue{broker: b, pause: drainPause, link: out}
}

// Drain implements [ports.DeadLetterQueue].
func (q *DeadLetterQueue) Drain(ctx context.Context, keep func(context.Context, ports.DeadLetter) error) error {
	if keep == nil {
		return errors.New("drain dead letters: keep is nil")
	}
	e := q.broker.endpoint("orderflow dead letters", q.link.routes)
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
	if err := d.in.run(ctx, d.begin); err != nil {
		return fmt.Errorf("drain queue %q: %w", queue, err)
	}
	return nil
}

// Replay publishes the message to the main queue. All of its headers are text, even
// if the sender's were not.
func (q *DeadLetterQueue) Replay(ctx context.Context, id string, m ports.Message) error {
	m.Body = bytes.Clone(m.Body) // publish may send it after Replay has returned
	if err := q.link.publish(ctx, letterMessage(id, m, q.link.topology.Queue))[0]; err != nil {
		return fmt.Errorf("replay dead letter %s: %w", id, err)
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

// begin calls keep. If that fails, it publishes the letter anew, at the end of the
// queue. RabbitMQ puts a requeued message at the head, where enough failing letters
// would hold up all others. Publishing anew also completes an incomplete letter, and
// shortens headers that leave too little room in a frame; keep gets the result.
func (dr *drain) begin(ctx context.Context, s *session, d amqp.Delivery) (domain.OrderID, func() bool) {
	return "", func() bool {
		topology := dr.out.topology
		letter, complete := topology.deadLetter(d, time.Now())
		_, leftOut := fit(topology.again(letter).Publishing, s.conn.Config.FrameSize)
		if complete && len(leftOut) == 0 { // without those headers, a message that is not an event has another id
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
			letter, _ = topology.deadLetter(d, time.Now()) // keep may have changed the other one
		}
		_, ok := dr.out.replace(ctx, s, topology.again(letter))
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
	select {
	case <-time.After(pause):
		return true
	case <-s.life.Done():
		return false
	case <-ctx.Done():
		return false
	}
}
