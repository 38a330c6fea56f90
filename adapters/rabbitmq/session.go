package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The bounds of every wait for the broker.
const (
	connectTimeout = 15 * time.Second // from dialling to the last declaration; the URL may set another
	answerTimeout  = 5 * time.Second  // for the answer to one question
	writeTimeout   = 10 * time.Second // for one write to the network
	confirmTimeout = 30 * time.Second // for a publisher confirm
	heartbeat      = 10 * time.Second // detects a dead link after 1.5 times as long
)

// minChannels is how many channels a connection needs: one for the session, and
// one for declarations or a ping.
const minChannels = 2

var (
	errClosed    = errors.New("closed") // by us
	errNoAnswer  = fmt.Errorf("no answer within %v", answerTimeout)
	errNoConfirm = fmt.Errorf("a message was not confirmed within %v", confirmTimeout)
)

// session is one connection to the broker with one channel. Any fault ends the
// session, and the next one declares the topology again. So an acknowledgement
// reaches only the channel of its delivery, and a confirm belongs to one message.
//
// The library waits for the broker without a limit. The end of the session ends
// each such wait, because it closes the socket.
type session struct {
	endpoint
	conn *amqp.Connection
	ch   *amqp.Channel
	wire *bufferedConn

	lifetime context.Context // ends with the session; its cause says why
	end      context.CancelCauseFunc
	wg       sync.WaitGroup

	blocked   atomic.Pointer[string] // why the broker takes no messages; nil: it takes messages
	questions chan func()

	pipeline   *pipeline            // of a session that publishes
	deliveries <-chan amqp.Delivery // of a session that consumes
}

// connect dials and opens the channel. It returns a function that watches both.
func (s *session) connect(ctx context.Context) (watch func(), err error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(s.name)
	s.conn, err = amqp.DialConfig(s.url, amqp.Config{
		Heartbeat:  heartbeat,
		Properties: properties,
		Dial: func(network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			context.AfterFunc(s.lifetime, func() { conn.Close() })
			s.wire = &bufferedConn{Conn: conn, failed: s.end}
			return s.wire, nil
		},
	})
	if err != nil {
		return nil, err
	}
	connection := s.conn.NotifyClose(make(chan *amqp.Error, 1))
	blocked := s.conn.NotifyBlocked(make(chan amqp.Blocking, 16)) // read after the set-up; the library drops more
	s.ch, err = s.conn.Channel()
	if err != nil {
		return nil, err
	}
	channel := s.ch.NotifyClose(make(chan *amqp.Error, 1))
	return func() { s.watch(connection, channel, blocked) }, nil
}

// watch ends the session when its connection or channel is closed.
func (s *session) watch(connection, channel <-chan *amqp.Error, blocked <-chan amqp.Blocking) {
	again := time.NewTicker(logAgain)
	defer again.Stop()
	closed := func(err *amqp.Error) {
		if err == nil {
			s.end(errClosed)
			return
		}
		s.end(s.explain(err))
	}
	for s.lifetime.Err() == nil {
		select {
		case b, open := <-blocked:
			switch {
			case !open:
				blocked = nil // the channel connection has the reason
			case b.Active:
				s.blocked.Store(&b.Reason)
				s.logBlocked()
			default:
				s.blocked.Store(nil)
				s.log.up("broker takes messages again")
			}
		case <-again.C:
			s.logBlocked()
		case err := <-connection:
			closed(err)
		case err := <-channel:
			closed(err)
		case <-s.lifetime.Done():
		}
	}
	if cause := context.Cause(s.lifetime); cause != errClosed {
		s.log.down(slog.LevelWarn, "disconnected from the broker", cause)
	}
}

func (s *session) logBlocked() {
	if reason := s.blocked.Load(); reason != nil {
		s.log.down(slog.LevelWarn, "broker takes no messages", errors.New(*reason))
	}
}

// checkBlocked returns an error while the broker takes no messages.
func (s *session) checkBlocked() error {
	if reason := s.blocked.Load(); reason != nil {
		return fmt.Errorf("the broker takes no messages: %s", *reason)
	}
	return nil
}

// wait waits until done is closed. It returns an error if ctx or the session ends
// first.
func (s *session) wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.lifetime.Done():
		return context.Cause(s.lifetime)
	}
}

// pause waits for d. It returns false if ctx or the session ends first.
func (s *session) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
	case <-s.lifetime.Done():
	}
	return false
}

// ping returns nil if the broker answers and takes messages.
func (s *session) ping(ctx context.Context) error {
	if err := s.checkBlocked(); err != nil {
		return err
	}
	if s.wire.pausing.Load() {
		return nil // the session would not read the answer
	}
	return s.inquire(ctx, func(*amqp.Channel) error { return nil })
}

// inquire calls question with a channel of its own, because the broker closes the
// channel if it refuses the question.
func (s *session) inquire(ctx context.Context, question func(*amqp.Channel) error) error {
	answered := make(chan error, 1)
	ask := func() {
		answered <- s.ask(func() error {
			ch, err := s.conn.Channel()
			if err != nil {
				return err
			}
			if err := question(ch); err != nil {
				return err // the broker has closed the channel
			}
			return ch.Close()
		})
	}
	select {
	case s.questions <- ask:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.lifetime.Done():
		return context.Cause(s.lifetime)
	}
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.lifetime.Done():
		return context.Cause(s.lifetime)
	}
}

// askQuestions asks one question after the other.
func (s *session) askQuestions() {
	for {
		select {
		case ask := <-s.questions:
			ask()
		case <-s.lifetime.Done():
			return
		}
	}
}

// ask ends the session if the broker does not answer the question in time.
func (s *session) ask(question func() error) error {
	waiting, answered := context.WithCancel(s.lifetime)
	defer answered()
	s.expectAnswer(waiting)
	return question()
}

// expectAnswer ends the session unless ctx ends in time. The time does not count
// while the session reads nothing.
func (s *session) expectAnswer(ctx context.Context) {
	timeout := time.AfterFunc(answerTimeout, func() {
		switch {
		case ctx.Err() != nil:
		case s.wire.pausing.Load():
			s.expectAnswer(ctx)
		default:
			s.end(errNoAnswer)
		}
	})
	context.AfterFunc(ctx, func() { timeout.Stop() })
}

// acknowledge sends the acknowledgements. It ignores errors, because they occur
// only after the session's end, when the broker delivers the messages again.
func (s *session) acknowledge(acks []acknowledgement) {
	s.wire.hold()
	defer s.wire.release()
	for _, a := range acks {
		_ = s.ch.Ack(a.tag, a.multiple)
	}
}

// settle waits until the queue has all settlements of the session's deliveries. A
// quorum queue takes some 30 settlements at once from a channel. The others wait in
// the channel; if it closes, they are lost and their deliveries come again. The
// broker answers a get after them, and settle gives back the message it returns.
// After an error the session is over, and deliveries may come again.
func (s *session) settle(queue string) error {
	return s.ask(func() error {
		d, got, err := s.ch.Get(queue, false)
		if got {
			d.Nack(false, true)
		}
		return err
	})
}

// close closes the connection. If ctx ends before the broker's answer, it closes
// only the socket.
func (s *session) close(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { s.end(errClosed) })()
	s.conn.Close() // fails only if the connection has ended before
	s.end(errClosed)
	s.wg.Wait()
}
