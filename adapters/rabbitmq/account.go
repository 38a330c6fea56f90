package rabbitmq

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/ports"
)

// Depth implements [ports.EventQueue]. RabbitMQ tells neither the age of a message nor how
// many the consumers of other processes have taken. All calls share one connection.
func (c *Consumer) Depth(ctx context.Context) (depth ports.QueueDepth, err error) {
	queue := c.topology.consumed()
	defer func() {
		if err != nil {
			depth, err = ports.QueueDepth{}, fmt.Errorf("count the events in queue %q: %w", queue, err)
		}
	}()
	if c.invalid != nil {
		return depth, c.invalid
	}
	if depth.Ready, depth.Consumers, err = c.broker.queues.depth(ctx, queue); err != nil {
		return depth, err
	}
	for _, delay := range c.topology.Delays {
		n, _, err := c.broker.queues.depth(ctx, c.topology.retryQueue(delay))
		if err != nil && !errors.Is(err, ports.ErrNotFound) {
			return depth, err
		}
		depth.Delayed += n
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for in := range c.running {
		depth.Taken += len(in.slots)
	}
	depth.Hidden = max(depth.Consumers-len(c.running), 0) * c.prefetch()
	return depth, nil
}

// Depth implements [ports.DeadLetterQueue].
func (q *DeadLetterQueue) Depth(ctx context.Context) (depth ports.QueueDepth, err error) {
	queue := q.broker.options.Topology.deadLetters()
	if depth.Ready, depth.Consumers, err = q.broker.queues.depth(ctx, queue); err != nil {
		return ports.QueueDepth{}, fmt.Errorf("count the dead letters in queue %q: %w", queue, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for in := range q.running {
		depth.Taken += len(in.slots)
	}
	depth.Hidden = max(depth.Consumers-len(q.running), 0) * drainPrefetch
	return depth, nil
}

// depth returns how many messages are in the queue and not with a consumer, and how many
// consumers it has.
func (l *link) depth(ctx context.Context, queue string) (messages, consumers int, err error) {
	s, err := l.session(ctx)
	if err != nil {
		return 0, 0, err
	}
	var found amqp.Queue
	err = s.inquire(ctx, func(ch *amqp.Channel) (err error) {
		found, err = ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		return err
	})
	var e *amqp.Error
	switch {
	case err == nil:
		return found.Messages, found.Consumers, nil
	case errors.As(err, &e) && e.Code == amqp.NotFound:
		return 0, 0, fmt.Errorf("%w: %w", ports.ErrNotFound, err)
	default:
		return 0, 0, unavailable(s.explain(err))
	}
}

// UnreadableDepth counts the messages in the queue of what could not be drained. No consumer
// reads it.
//
// ErrNotFound is returned when the queue does not exist.
func (q *DeadLetterQueue) UnreadableDepth(ctx context.Context) (depth ports.QueueDepth, err error) {
	queue := q.broker.options.Topology.unreadable()
	if depth.Ready, depth.Consumers, err = q.broker.queues.depth(ctx, queue); err != nil {
		return ports.QueueDepth{}, fmt.Errorf("count the messages in queue %q: %w", queue, err)
	}
	return depth, nil
}
