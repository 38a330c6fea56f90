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
	drainPrefetch = 50
	drainPause    = 10 * time.Second // before a letter that was not kept comes again
	crowd         = 20               // by which that is divided while many are not kept
)

// DeadLetterQueue drains and replays the topology's dead letters. Each call of
// Drain has a connection of its own.
type DeadLetterQueue struct {
	broker *Broker
	pause  time.Duration // drainPause; tests have less time
	link   *link         // to publish by
}

var _ ports.DeadLetterQueue = (*DeadLetterQueue)(nil)

func newDeadLetterQueue(b *Broker) *DeadLetterQueue {
	out := newLink(b.endpoint("orderflow replay", b.options.Topology.replaying()), startPipeline)
	return &DeadLetterQueue{broker: b, pause: drainPause, link: out}
}

// Drain drains as the contract has it; its errors are those of
// [Consumer.Consume].
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

// Replay publishes the letter's message to the main queue, as text where its
// sender's headers were something else.
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
	held   atomic.Int64 // how many letters that were not kept are in hand

	crowded func() bool // whether the letters in hand take much room; nil: never
}

// begin has the letter kept. One that was not goes to the end of the queue,
// behind all others: to where RabbitMQ puts what is given back, its head, it
// would return until it is kept, and with enough of its kind be all that is
// ever looked at. The same completes a letter that is incomplete, and cuts one whose headers
// leave a frame too little room.
func (dr *drain) begin(ctx context.Context, s *session, d amqp.Delivery) (domain.OrderID, func() bool) {
	return "", func() bool {
		topology := dr.out.topology
		letter, complete := topology.deadLetter(d, time.Now())
		_, leftOut := fit(topology.again(letter).Publishing, s.conn.Config.FrameSize)
		if complete && len(leftOut) == 0 { // without those headers, what is no event would be another letter
			err := dr.limits.Call(ctx, func(ctx context.Context) error {
				return dr.keep(ctx, letter)
			})
			if err == nil {
				return true
			}
			if !errors.Is(err, ports.ErrUnavailable) { // keep says that itself, once for all
				dr.in.link.log.logger.Warn("dead letter was not kept; it comes again", "id", letter.ID, "error", bounded(err.Error()))
			}
			if !dr.hold(ctx, s) {
				return false
			}
			letter, _ = topology.deadLetter(d, time.Now()) // keep may have changed it
		}
		_, ok := dr.out.replace(ctx, s, topology.again(letter))
		return ok
	}
}

// hold waits a while with a letter in hand; it returns false if the letter is
// to be given back before. Few wait for long; many, so that they leave room for
// others, take turns.
func (dr *drain) hold(ctx context.Context, s *session) bool {
	defer dr.held.Add(-1)
	pause := dr.pause
	if dr.held.Add(1) > drainPrefetch/2 || dr.crowded != nil && dr.crowded() {
		pause /= crowd
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
