package rabbitmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Publisher publishes events.
type Publisher struct{ link *link }

var (
	_ ports.EventPublisher = (*Publisher)(nil)
	_ ports.Pinger         = (*Publisher)(nil)
)

func newPublisher(b *Broker) *Publisher {
	return &Publisher{newLink(b.endpoint("orderflow publisher", "", b.options.Topology.publishing()), startPipeline)}
}

// Publish sends all events before it waits for their publisher confirms. Calls
// don't wait for each other. While the broker can't be reached, or takes no
// messages because it is short of memory or disk, Publish fails immediately.
// [ports.ErrUnavailable] is returned for an event that no queue takes.
func (p *Publisher) Publish(ctx context.Context, events ...domain.Event) []error {
	messages := make([]message, len(events))
	for i, event := range events {
		if ctx.Err() != nil {
			break // none is sent
		}
		messages[i] = eventMessage(p.link.topology.Exchange, event)
	}
	errs := p.link.publish(ctx, messages...)
	for i, err := range errs {
		if err != nil {
			errs[i] = fmt.Errorf("publish event %s: %w", events[i].ID, err)
		}
	}
	return errs
}

// System returns the product's name in traces.
func (p *Publisher) System() string { return "rabbitmq" }

// Ping returns nil if the broker answers and takes messages.
func (p *Publisher) Ping(ctx context.Context) error {
	if err := p.link.ping(ctx); err != nil {
		return fmt.Errorf("ping broker: %w", err)
	}
	return nil
}

// maxUnconfirmed bounds the messages that a session has sent and the broker has
// not confirmed.
const maxUnconfirmed = 1024

// pipeline publishes on a session's channel. One goroutine sends all messages,
// batch by batch. Each caller waits only for the confirms of its own messages.
type pipeline struct {
	*session
	batches chan *batch

	// The latest confirms, in a ring. Before a message takes the place of the oldest,
	// that confirm must have arrived.
	ring [maxUnconfirmed]*amqp.DeferredConfirmation
	next int

	// The broker returns a message that no queue takes, and then confirms it. So
	// once a message is confirmed, its return can be read.
	returns  chan amqp.Return
	mu       sync.Mutex
	returned map[sending]int // returns that no caller has seen yet
}

// sending identifies a message of a session, and its repeats.
type sending struct{ exchange, key, id string }

// batch is the messages of one call. Messages with an error are not sent.
type batch struct {
	ctx      context.Context
	messages []message
	errs     []error

	sent     chan struct{}                // closed once confirms and err are set
	confirms []*amqp.DeferredConfirmation // nil: the message was not sent
	err      error                        // why messages were not sent
}

// startPipeline sets up s as a session that publishes.
func startPipeline(s *session) error {
	p := &pipeline{session: s, batches: make(chan *batch), returned: make(map[sending]int)}
	if err := s.ch.Confirm(false); err != nil {
		return fmt.Errorf("ask for publisher confirms: %w", err)
	}
	p.returns = s.ch.NotifyReturn(make(chan amqp.Return, maxUnconfirmed))
	s.pipeline = p
	s.wg.Go(p.run)
	return nil
}

// publish publishes the messages that have no error yet, and returns an error
// for each message: nil once the broker has promised to keep it and a queue has
// taken it. Each message must have an id.
func (p *pipeline) publish(ctx context.Context, messages []message, errs []error) []error {
	b := &batch{ctx: ctx, messages: messages, errs: errs, sent: make(chan struct{})}
	select {
	case p.batches <- b:
	case <-ctx.Done():
		return complete(errs, unavailable(ctx.Err()))
	case <-p.lifetime.Done():
		return complete(errs, unavailable(context.Cause(p.lifetime)))
	}
	if err := p.wait(ctx, b.sent); err != nil {
		return complete(errs, unavailable(err))
	}
	errs = slices.Clone(errs)
	for i, confirm := range b.confirms {
		switch {
		case errs[i] != nil:
		case confirm == nil:
			errs[i] = unavailable(b.err)
		default:
			errs[i] = p.confirmed(ctx, confirm)
		}
	}
	p.takeReturned(messages, errs)
	return errs
}

// complete returns errs with err for each message that has no error.
func complete(errs []error, err error) []error {
	errs = slices.Clone(errs)
	for i := range errs {
		errs[i] = cmp.Or(errs[i], err)
	}
	return errs
}

// run sends one batch after the other.
func (p *pipeline) run() {
	for {
		select {
		case b := <-p.batches:
			b.err = p.send(b)
			close(b.sent)
		case <-p.lifetime.Done():
			return
		}
	}
}

// send sends the messages of the batch. It returns an error if it has not sent all.
func (p *pipeline) send(b *batch) error {
	p.wire.hold()
	defer p.wire.release()
	b.confirms = make([]*amqp.DeferredConfirmation, len(b.messages))
	for i, m := range b.messages {
		if b.errs[i] != nil {
			continue
		}
		if oldest := p.ring[p.next]; oldest != nil {
			if err := p.makeRoom(oldest); err != nil {
				return err
			}
		}
		if err := cmp.Or(b.ctx.Err(), context.Cause(p.lifetime), p.checkBlocked()); err != nil {
			return err
		}
		p.readReturns() // so that the channel of returns never fills up
		confirm, err := p.ch.PublishWithDeferredConfirm(m.exchange, m.key, true, false, m.Publishing)
		if err != nil {
			p.end(err)
			return err
		}
		b.confirms[i] = confirm
		p.ring[p.next] = confirm
		p.next = (p.next + 1) % len(p.ring)
	}
	return nil
}

// makeRoom waits until the oldest message is confirmed. The caller of that message
// may have returned, so no caller's context ends the wait.
func (p *pipeline) makeRoom(oldest *amqp.DeferredConfirmation) error {
	select {
	case <-oldest.Done():
		return nil
	default:
	}
	p.wire.release() // the message may be in the buffer
	defer p.wire.hold()
	return p.await(context.Background(), oldest)
}

// await waits until the broker confirms or refuses a message. If it does neither
// in time, the session ends.
func (p *pipeline) await(ctx context.Context, confirm *amqp.DeferredConfirmation) error {
	select {
	case <-confirm.Done():
		return nil
	default:
	}
	timeout := time.AfterFunc(confirmTimeout, func() { p.end(errNoConfirm) })
	defer timeout.Stop()
	return p.wait(ctx, confirm.Done())
}

// confirmed returns nil once the broker has confirmed a message.
func (p *pipeline) confirmed(ctx context.Context, confirm *amqp.DeferredConfirmation) error {
	err := p.await(ctx, confirm)
	switch {
	case err != nil:
	case confirm.Acked():
		return nil
	case p.ch.IsClosed(): // the library then reports messages without an answer as refused
		err = p.wait(ctx, nil)
	default: // for example because a queue is full, which is not the message's fault
		err = errors.New("the broker refused the message")
	}
	return unavailable(err)
}

func (p *pipeline) readReturns() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		select {
		case r, open := <-p.returns:
			if !open {
				return
			}
			p.returned[sending{r.Exchange, r.RoutingKey, r.MessageId}]++
		default:
			return
		}
	}
}

// takeReturned sets the errors of the confirmed messages that the broker returned.
// If two calls send the same event and the broker returns one message, either call
// may get the error.
func (p *pipeline) takeReturned(messages []message, errs []error) {
	p.readReturns()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, m := range messages {
		returned := sending{m.exchange, m.key, m.MessageId}
		if errs[i] != nil || p.returned[returned] == 0 {
			continue
		}
		if p.returned[returned]--; p.returned[returned] == 0 {
			delete(p.returned, returned)
		}
		err := fmt.Errorf("no queue takes the message for exchange %q with key %q", m.exchange, m.key)
		if m.exchange == amqp.DefaultExchange {
			err = fmt.Errorf("queue %q does not exist", m.key)
		}
		errs[i] = unavailable(err)
		if p.declares(m) {
			p.end(err) // the next session declares the removed queue or binding again
		}
	}
}
