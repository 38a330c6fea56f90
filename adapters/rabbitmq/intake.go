package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/internal/dispatch"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const (
	consumerTag  = "orderflow"
	leaveTimeout = 2 * time.Second // for closing connections
	carefulFor   = 5 * time.Second // the shortest time of a careful session
)

var errCareful = errors.New("no unreadable or large message is left; deliveries are taken at full speed again")

// intake consumes from a queue, in one session after the other.
type intake struct {
	link  *link
	queue string
	slots chan struct{} // one for each unacknowledged delivery, over all sessions
	room  room          // for their bytes
	calls dispatch.Group

	// careful reports whether the next session takes deliveries one by one. It does
	// after a session that broke over an unreadable delivery: that one then comes
	// first and alone, until the queue's delivery limit sets it aside. A session that
	// lasts shows that it is gone. The next session is also careful after one that
	// had no room for too long, until no large delivery has come for a while.
	careful atomic.Bool

	maxPause time.Duration // maxPause; shorter in tests

	mu        sync.Mutex
	unhandled []amqp.Delivery // to give back once all others are settled
}

// beginFunc prepares a delivery. handle handles it, and reports whether the queue
// may forget it. Deliveries of one order are handled one after the other.
type beginFunc func(ctx context.Context, s *session, d amqp.Delivery) (order domain.OrderID, handle func() bool)

func newIntake(e endpoint, queue string, prefetch int) *intake {
	in := &intake{queue: queue, slots: make(chan struct{}, prefetch), maxPause: maxPause}
	in.link = newLink(e, func(s *session) (err error) {
		atOnce := prefetch
		if in.careful.Load() {
			atOnce = 1
		}
		if err := s.ch.Qos(atOnce, 0, false); err != nil {
			return fmt.Errorf("set prefetch: %w", err)
		}
		if s.deliveries, err = s.ch.Consume(queue, consumerTag, false, false, false, false, nil); err != nil {
			return fmt.Errorf("subscribe to queue %q: %w", queue, err)
		}
		timeout := func() {
			if atOnce > 1 {
				s.end(errNoRoom)
			}
		}
		s.wire.throttle.Store(&throttle{room: &in.room, closed: s.lifetime.Done(), limit: in.maxPause, timeout: timeout})
		return nil
	})
	return in
}

// run takes deliveries until ctx ends, and returns once all are handled or given
// back. It returns an error if it can't go on.
func (in *intake) run(ctx context.Context, begin beginFunc) error {
	var last *session
	defer func() {
		in.calls.Wait()
		if last != nil {
			last.settle(in.queue)
		}
		for _, d := range in.unhandled { // after settle, which would otherwise get them, so that they would count twice
			d.Nack(false, true)
		}
	}()
	refusals := 0
	for ctx.Err() == nil {
		s, err := in.link.session(ctx)
		if err == nil {
			last = s
			in.receive(ctx, s, begin)
			cause := context.Cause(s.lifetime)
			in.careful.Store(isUnreadable(cause) || cause == errNoRoom)
			continue
		}
		if errors.Is(err, ports.ErrRefused) {
			refusals++
		}
		if isTopologyError(err) || refusals == 2 && last == nil {
			return err
		}
		in.link.pause(ctx)
	}
	return nil
}

// receive takes deliveries until the session ends, or until ctx has ended and the
// broker sends no more.
func (in *intake) receive(ctx context.Context, s *session, begin beginFunc) {
	cancelled := make(chan struct{})
	s.wg.Go(func() {
		defer close(cancelled)
		select {
		case <-ctx.Done():
			s.ask(func() error { return s.ch.Cancel(consumerTag, false) })
		case <-s.lifetime.Done():
		}
	})
	acks := newAcks(s.acknowledge)
	if in.careful.Load() {
		s.wg.Go(func() { in.endCareful(ctx, s) })
	}
	for d := range s.deliveries {
		acks.take(d.DeliveryTag)
		bytes := size(d)
		in.room.take(bytes)
		if !in.takeSlot(s) {
			in.room.give(bytes)
			continue // the broker delivers the rest again
		}
		order, handle := begin(ctx, s, d)
		d.Headers, d.Body = nil, nil // handle keeps them
		in.calls.Go(order, func() {
			defer func() { <-in.slots }()
			stopped := s.lifetime.Err() != nil || ctx.Err() != nil // during the wait for an earlier event of the order
			done := !stopped && handle()
			handle = nil // frees the delivery
			in.room.give(bytes)
			if done {
				acks.add(d.DeliveryTag)
				return
			}
			<-cancelled // before that, the broker would deliver it again immediately
			if s.lifetime.Err() == nil {
				in.mu.Lock()
				in.unhandled = append(in.unhandled, d)
				in.mu.Unlock()
			}
		})
	}
	if s.ch.IsClosed() {
		<-s.lifetime.Done() // watch ends the session with the reason
	} else if ctx.Err() == nil {
		s.end(errors.New("the broker ended the subscription, as it does when the queue is deleted"))
	}
}

// takeSlot waits for a slot. It returns false if the session ends first. Meanwhile
// the session reads nothing, because nothing would count its deliveries.
func (in *intake) takeSlot(s *session) bool {
	select {
	case in.slots <- struct{}{}:
		return true
	default:
	}
	in.room.stall(1)
	defer in.room.stall(-1)
	select {
	case in.slots <- struct{}{}:
		return true
	case <-s.lifetime.Done():
		return false
	}
}

// endCareful ends a careful session once it has lasted without large deliveries.
func (in *intake) endCareful(ctx context.Context, s *session) {
	in.room.onlySmall()
	for s.pause(ctx, carefulFor) {
		if in.room.onlySmall() {
			if s.settle(in.queue) == nil {
				s.end(errCareful)
			}
			return
		}
	}
}

// closeAll closes the links within leaveTimeout.
func closeAll(links ...*link) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	for _, l := range links {
		l.close(ctx)
	}
}

// acks acknowledges the deliveries of one session, adjacent ones together. While
// one caller sends acknowledgements, the others add theirs to the next batch. No
// timer delays a batch, and the batches grow with the load.
type acks struct {
	send func([]acknowledgement)

	mu      sync.Mutex
	last    uint64              // the latest delivery taken
	pending map[uint64]struct{} // taken and not acknowledged
	done    []uint64            // for the next batch
	sending bool
}

// acknowledgement settles one delivery, or all unsettled ones up to it.
type acknowledgement struct {
	tag      uint64
	multiple bool
}

func newAcks(send func([]acknowledgement)) *acks {
	return &acks{send: send, pending: make(map[uint64]struct{})}
}

// take registers a delivery. Deliveries are taken in the order of their tags.
func (a *acks) take(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = tag
	a.pending[tag] = struct{}{}
}

// add acknowledges the delivery, in this call or in one that is running.
func (a *acks) add(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = append(a.done, tag)
	if a.sending {
		return
	}
	a.sending = true
	for len(a.done) > 0 {
		a.mu.Unlock()
		runtime.Gosched() // so that more calls can join the batch: see BenchmarkAcks
		a.mu.Lock()
		tags := a.done
		a.done = nil
		for _, tag := range tags {
			delete(a.pending, tag)
		}
		lowest := a.last + 1
		for tag := range a.pending {
			lowest = min(lowest, tag)
		}
		a.mu.Unlock()
		a.send(ackPlan(tags, lowest))
		a.mu.Lock()
	}
	a.sending = false
}

// ackPlan settles the tags below the lowest pending one with one acknowledgement.
// It settles the others one by one, so that they need not wait for that delivery.
func ackPlan(tags []uint64, lowest uint64) []acknowledgement {
	slices.Sort(tags)
	split, _ := slices.BinarySearch(tags, lowest)
	var plan []acknowledgement
	if split > 0 {
		// The last of the tags, because the broker refuses a tag that is settled already.
		plan = append(plan, acknowledgement{tags[split-1], split > 1})
	}
	for _, tag := range tags[split:] {
		plan = append(plan, acknowledgement{tag, false})
	}
	return plan
}
