package rabbitmq

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/ports"
)

// maxUnconfirmed is how many messages a session has on their way at once,
// whoever sent them.
const maxUnconfirmed = 1024

// pipeline publishes on a session's channel. One goroutine sends all messages,
// batch by batch; everybody waits only for the promises to keep their own.
type pipeline struct {
	*session
	batches chan *batch

	// The last promises, each in the place where it must have been kept before
	// another message goes.
	ring [maxUnconfirmed]*amqp.DeferredConfirmation
	next int

	// A message that no queue takes is first returned and then confirmed, like
	// any other: once a message is confirmed, its return can be read.
	returns  chan amqp.Return
	mu       sync.Mutex
	returned map[string]int // by message id: how many came back that no sender knows of yet
}

type message struct {
	exchange, key string
	amqp.Publishing
}

type batch struct {
	ctx      context.Context
	messages []message

	sent     chan struct{} // closed once the others are set
	promises []*amqp.DeferredConfirmation
	err      error // why there are fewer promises than messages
}

// startPipeline makes s a session that publishes.
func startPipeline(s *session) error {
	p := &pipeline{session: s, batches: make(chan *batch), returned: make(map[string]int)}
	if err := s.ch.Confirm(false); err != nil {
		return fmt.Errorf("ask for confirmations: %w", err)
	}
	p.returns = s.ch.NotifyReturn(make(chan amqp.Return, maxUnconfirmed))
	s.pipeline = p
	s.wg.Go(p.run)
	return nil
}

// publish publishes the messages in a session. Before that it leaves out of them,
// in place, the headers that a frame of the session has no room for.
func (l *link) publish(ctx context.Context, messages ...message) error {
	if err := ctx.Err(); err != nil || len(messages) == 0 {
		return err
	}
	for _, m := range messages {
		if err := m.checkShort(); err != nil {
			return err
		}
	}
	s, err := l.session(ctx)
	if err != nil {
		return err
	}
	for i, m := range messages {
		fitted, leftOut := fit(m.Publishing, s.conn.Config.FrameSize)
		messages[i].Publishing = fitted
		if len(leftOut) > 0 {
			l.log.logger.WarnContext(ctx, "headers too long for a frame are left out",
				"message_id", m.MessageId, "count", len(leftOut), "headers", bounded(strings.Join(leftOut, ", ")))
		}
	}
	return s.pipeline.publish(ctx, messages)
}

// publish returns nil once the broker has promised to keep every message, in a
// queue that has taken it. Every message must have an id.
func (p *pipeline) publish(ctx context.Context, messages []message) error {
	b := &batch{ctx: ctx, messages: messages, sent: make(chan struct{})}
	select {
	case p.batches <- b:
	case <-ctx.Done():
		return unavailable(ctx.Err())
	case <-p.life.Done():
		return unavailable(context.Cause(p.life))
	}
	if err := p.wait(ctx, b.sent); err != nil {
		return unavailable(err)
	}
	if b.err != nil {
		return unavailable(b.err)
	}
	refused := 0
	for _, promise := range b.promises {
		if err := p.waitForAnswer(ctx, promise); err != nil {
			return unavailable(err)
		}
		if !promise.Acked() {
			refused++
		}
	}
	if refused > 0 && p.ch.IsClosed() { // then what has no answer looks refused
		return unavailable(p.wait(ctx, nil))
	}
	if n := p.countReturned(messages); n > 0 {
		err := fmt.Errorf("no queue takes %d of %d messages for exchange %q with key %q",
			n, len(messages), messages[0].exchange, messages[0].key)
		p.end(err) // the next session declares again what somebody has taken away
		return passing{err}
	}
	if refused > 0 { // a queue is full, say
		return passing{fmt.Errorf("the broker refused %d of %d messages", refused, len(messages))}
	}
	return nil
}

// passing is a [ports.ErrUnavailable] in the words of another error. What
// RabbitMQ says of a single message says nothing of what the message is.
type passing struct{ error }

func (e passing) Unwrap() error        { return e.error }
func (e passing) Is(target error) bool { return target == ports.ErrUnavailable }

// run sends one batch after the other.
func (p *pipeline) run() {
	for {
		select {
		case b := <-p.batches:
			b.err = p.send(b)
			close(b.sent)
		case <-p.life.Done():
			return
		}
	}
}

func (p *pipeline) send(b *batch) error {
	p.wire.hold()
	defer p.release()
	b.promises = make([]*amqp.DeferredConfirmation, 0, len(b.messages))
	for _, m := range b.messages {
		// Whoever has sent the oldest message may have gone, so the wait for
		// room is not bound to a context of theirs.
		if oldest := p.ring[p.next]; oldest != nil {
			if err := p.waitForRoom(oldest); err != nil {
				return err
			}
		}
		if err := cmp.Or(b.ctx.Err(), context.Cause(p.life)); err != nil {
			return err
		}
		if reason := p.blocked.Load(); reason != nil {
			return blockedError(*reason)
		}
		p.takeReturns() // so that there are never more than the channel can hold
		promise, err := p.ch.PublishWithDeferredConfirm(m.exchange, m.key, true, false, m.Publishing)
		if err != nil {
			p.end(err)
			return err
		}
		b.promises = append(b.promises, promise)
		p.ring[p.next] = promise
		p.next = (p.next + 1) % len(p.ring)
	}
	return nil
}

func (p *pipeline) waitForRoom(oldest *amqp.DeferredConfirmation) error {
	select {
	case <-oldest.Done():
		return nil
	default:
	}
	p.release() // it may be among what is held
	defer p.wire.hold()
	return p.waitForAnswer(context.Background(), oldest)
}

// waitForAnswer waits until the broker answers for a message. If it does not
// in time, the session is given up.
func (p *pipeline) waitForAnswer(ctx context.Context, promise *amqp.DeferredConfirmation) error {
	select {
	case <-promise.Done():
		return nil
	default:
	}
	timeout := time.AfterFunc(confirmTimeout, func() { p.end(errNoPromise) })
	defer timeout.Stop()
	return p.wait(ctx, promise.Done())
}

// wait waits until done is closed. An error says that ctx or the session ended
// first.
func (p *pipeline) wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.life.Done():
		return context.Cause(p.life)
	}
}

func (p *pipeline) takeReturns() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		select {
		case r, open := <-p.returns:
			if !open {
				return
			}
			p.returned[r.MessageId]++
		default:
			return
		}
	}
}

// countReturned counts the messages that came back, all of them confirmed. If
// another call sends a message of the same id meanwhile and one of the two
// comes back, either call may be the one to hear of it: it is the same event.
func (p *pipeline) countReturned(messages []message) int {
	p.takeReturns()
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, m := range messages {
		if p.returned[m.MessageId] == 0 {
			continue
		}
		n++
		if p.returned[m.MessageId]--; p.returned[m.MessageId] == 0 {
			delete(p.returned, m.MessageId)
		}
	}
	return n
}
