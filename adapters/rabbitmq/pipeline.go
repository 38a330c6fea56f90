package rabbitmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	invalid error // why it can't be sent; nil: it can
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

// publish publishes the messages in a session and returns an error for each.
// Before that it leaves out of them, in place, the headers that a frame of the
// session has no room for.
func (l *link) publish(ctx context.Context, messages ...message) []error {
	errs := make([]error, len(messages))
	valid, places := make([]message, 0, len(messages)), make([]int, 0, len(messages))
	for i, m := range messages {
		if errs[i] = cmp.Or(ctx.Err(), m.invalid, m.checkShort()); errs[i] == nil {
			valid, places = append(valid, m), append(places, i)
		}
	}
	if len(valid) == 0 {
		return errs
	}
	s, err := l.session(ctx)
	if err != nil {
		for _, place := range places {
			errs[place] = err
		}
		return errs
	}
	for i, m := range valid {
		fitted, leftOut := fit(m.Publishing, s.conn.Config.FrameSize)
		valid[i].Publishing, messages[places[i]].Publishing = fitted, fitted
		if len(leftOut) > 0 {
			l.log.logger.WarnContext(ctx, "headers too long for a frame are left out",
				"message_id", m.MessageId, "count", len(leftOut), "headers", bounded(strings.Join(leftOut, ", ")))
		}
	}
	for i, err := range s.pipeline.publish(ctx, valid) {
		errs[places[i]] = err
	}
	return errs
}

// publish returns an error for each message: nil once the broker has promised to
// keep it, in a queue that has taken it. Every message must have an id.
func (p *pipeline) publish(ctx context.Context, messages []message) []error {
	b := &batch{ctx: ctx, messages: messages, sent: make(chan struct{})}
	select {
	case p.batches <- b:
	case <-ctx.Done():
		return repeat(unavailable(ctx.Err()), len(messages))
	case <-p.life.Done():
		return repeat(unavailable(context.Cause(p.life)), len(messages))
	}
	if err := p.wait(ctx, b.sent); err != nil {
		return repeat(unavailable(err), len(messages))
	}
	errs := make([]error, len(messages))
	for i := range messages {
		if i == len(b.promises) {
			copy(errs[i:], repeat(unavailable(b.err), len(messages)-i))
			break
		}
		switch err := p.waitForAnswer(ctx, b.promises[i]); {
		case err != nil:
			errs[i] = unavailable(err)
		case b.promises[i].Acked():
		case p.ch.IsClosed(): // then a message without an answer looks refused
			errs[i] = unavailable(p.wait(ctx, nil))
		default: // a queue is full, say
			errs[i] = passing{errors.New("the broker refused the message")}
		}
	}
	p.noteReturned(messages[:len(b.promises)], errs)
	return errs
}

func repeat(err error, n int) []error { return slices.Repeat([]error{err}, n) }

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

// noteReturned sets the errors of the messages that came back, all of them
// confirmed. If another call sends a message of the same id meanwhile and one of
// the two comes back, either call may get the error: it is the same event.
func (p *pipeline) noteReturned(messages []message, errs []error) {
	p.takeReturns()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, m := range messages {
		if errs[i] != nil || p.returned[m.MessageId] == 0 {
			continue
		}
		err := fmt.Errorf("no queue takes the message for exchange %q with key %q", m.exchange, m.key)
		errs[i] = passing{err}
		p.end(err) // the next session declares again what somebody has taken away
		if p.returned[m.MessageId]--; p.returned[m.MessageId] == 0 {
			delete(p.returned, m.MessageId)
		}
	}
}
