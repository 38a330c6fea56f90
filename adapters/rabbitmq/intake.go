package rabbitmq

import (
	"context"
	"errors"
	"fmt"
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
	leaveTimeout = 2 * time.Second // to take leave of the broker
)

// intake empties a queue: it takes deliveries, in one session after the other,
// and has each dealt with.
type intake struct {
	link  *link
	queue string
	slots chan struct{} // one for each delivery in hand, over all sessions
	room  room          // for their bytes
	hands dispatch.Group

	// The last session broke on a delivery that the library can't read. In the
	// next, deliveries come one by one: the broken one alone is in hand when
	// the session breaks again, until the queue's delivery limit sets it aside.
	// It comes first, so a session that lasts shows that it is gone.
	//
	// The same after a session that had no room for too long, until no large
	// delivery has come for a while.
	careful atomic.Bool

	maxPause time.Duration // tests have less time

	mu   sync.Mutex
	back []amqp.Delivery // to be given back once all else is settled
}

// carefulFor is how long a session lasts at least in which deliveries come one by
// one.
const carefulFor = 5 * time.Second

// dealing is how a delivery is dealt with: deal reports whether it has been, so
// that the queue may forget it. Those of one order go one after the other.
type dealing func(ctx context.Context, s *session, d amqp.Delivery) (order domain.OrderID, deal func() bool)

func newIntake(e endpoint, queue string, prefetch int) *intake {
	in := &intake{queue: queue, slots: make(chan struct{}, prefetch), maxPause: maxPause}
	in.link = newLink(e, func(s *session) error {
		atOnce := prefetch
		if in.careful.Load() {
			atOnce = 1
		}
		if err := subscribe(s, queue, atOnce); err != nil {
			return err
		}
		tooLong := func() {
			if atOnce > 1 {
				s.end(errNoRoom)
			}
		}
		s.wire.door.Store(&door{room: &in.room, closed: s.life.Done(), limit: in.maxPause, tooLong: tooLong})
		return nil
	})
	return in
}

// subscribe makes s a session that consumes.
func subscribe(s *session, queue string, prefetch int) (err error) {
	if err := s.ch.Qos(prefetch, 0, false); err != nil {
		return fmt.Errorf("set prefetch: %w", err)
	}
	s.deliveries, err = s.ch.Consume(queue, consumerTag, false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("subscribe to queue %q: %w", queue, err)
	}
	return nil
}

// run takes deliveries until ctx ends, and returns once all in hand are dealt
// with or given back. An error means that it can't go on.
func (in *intake) run(ctx context.Context, begin dealing) error {
	var last *session
	defer func() {
		in.hands.Wait()
		if last != nil {
			last.flush(in.queue)
		}
		for _, d := range in.back { // not before, or flush would get them, and they count twice
			d.Nack(false, true)
		}
	}()
	refusals := 0
	for ctx.Err() == nil {
		s, err := in.link.session(ctx)
		if err == nil {
			last = s
			in.receive(ctx, s, begin)
			cause := context.Cause(s.life)
			in.careful.Store(isUnreadable(cause) || cause == errNoRoom)
			continue
		}
		if isOfTopology(err) {
			return err
		}
		if errors.Is(err, ports.ErrRefused) {
			refusals++
		}
		if refusals == 2 && last == nil {
			return err
		}
		in.link.pause(ctx)
	}
	return nil
}

// receive takes deliveries until the session ends, or until ctx has ended and
// the broker sends no more.
func (in *intake) receive(ctx context.Context, s *session, begin dealing) {
	cancelled := make(chan struct{})
	s.wg.Go(func() {
		defer close(cancelled)
		select {
		case <-ctx.Done():
			s.ask(func() error { return s.ch.Cancel(consumerTag, false) })
		case <-s.life.Done():
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
			continue // what is left is handed out again
		}
		order, deal := begin(ctx, s, d)
		d.Headers, d.Body = nil, nil // deal has them
		in.hands.Go(order, func() {
			defer func() { <-in.slots }()
			over := s.life.Err() != nil || ctx.Err() != nil // while it waited for its turn
			// To settle a delivery fails only if the session is over, and then
			// the broker takes the delivery back by itself.
			done := !over && deal()
			deal = nil
			in.room.give(bytes)
			if done {
				acks.add(d.DeliveryTag)
				return
			}
			<-cancelled // or it would come straight back
			if s.life.Err() == nil {
				in.mu.Lock()
				in.back = append(in.back, d)
				in.mu.Unlock()
			}
		})
	}
	if s.ch.IsClosed() {
		<-s.life.Done() // it ends with the reason for that
	} else if ctx.Err() == nil {
		s.end(errors.New("the broker ended the subscription, as it does when the queue is deleted"))
	}
}

// takeSlot waits for a slot; it returns false if the session ends first. What
// comes meanwhile would not be counted, so nothing does.
func (in *intake) takeSlot(s *session) bool {
	select {
	case in.slots <- struct{}{}:
		return true
	default:
	}
	in.room.change(0, 1)
	defer in.room.change(0, -1)
	select {
	case in.slots <- struct{}{}:
		return true
	case <-s.life.Done():
		return false
	}
}

// endCareful ends a session in which deliveries come one by one.
func (in *intake) endCareful(ctx context.Context, s *session) {
	in.room.calm()
	for {
		select {
		case <-time.After(carefulFor):
		case <-s.life.Done():
			return
		case <-ctx.Done():
			return
		}
		if !in.room.calm() {
			continue
		}
		if s.flush(in.queue) == nil {
			s.end(errCareful)
		}
		return
	}
}

// acknowledge sends the words. What fails says only that the session is over,
// and the broker takes the deliveries back by itself.
func (s *session) acknowledge(words []acknowledgement) {
	s.wire.hold()
	defer s.release()
	for _, word := range words {
		_ = s.ch.Ack(word.tag, word.multiple)
	}
}

var errCareful = errors.New("nothing is left that could not be read or was too large; deliveries are taken at full speed again")

// flush waits until the queue knows how all of its deliveries were settled. A
// quorum queue takes some 30 settlements at once from a channel; the others
// wait in the channel, and if that is closed they are lost and the deliveries
// come again. A get is answered after them. What it gets goes back.
//
// An error says that the session is over, and the deliveries come again.
func (s *session) flush(queue string) error {
	return s.ask(func() error {
		d, got, err := s.ch.Get(queue, false)
		if got {
			d.Nack(false, true)
		}
		return err
	})
}

// closeAll closes the links, taking leave of the broker.
func closeAll(links ...*link) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	for _, l := range links {
		l.close(ctx)
	}
}
