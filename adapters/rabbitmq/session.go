package rabbitmq

import (
	"cmp"
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
	connectTimeout = 15 * time.Second // from dialling to the last queue declared, if the URL has no other
	answerTimeout  = 5 * time.Second  // for the answer to one question
	writeTimeout   = 10 * time.Second // for the network to take what is written
	confirmTimeout = 30 * time.Second // for the promise to keep a message
	heartbeat      = 10 * time.Second // a dead link is noticed after one and a half of it
)

// leastChannels is how many a connection has at once: its own, and one for
// declaring, or for a question.
const leastChannels = 2

var (
	errClosed    = errors.New("closed") // by us: no fault
	errNoAnswer  = fmt.Errorf("no answer within %v", answerTimeout)
	errNoPromise = fmt.Errorf("a message was not confirmed within %v", confirmTimeout)
)

// session is one connection to the broker and one channel on it. It is never
// mended: whatever goes wrong ends it, and the next is made from scratch,
// topology included. So an acknowledgement can't reach a channel that its
// delivery did not come from, nor can a confirmation be taken for another's.
//
// The library waits for the broker without a bound. Every such wait ends with
// the session, whose socket is closed under it.
type session struct {
	endpoint
	conn *amqp.Connection
	ch   *amqp.Channel
	wire *boundedConn

	life context.Context // ends with the session; its cause says why
	end  context.CancelCauseFunc
	wg   sync.WaitGroup

	blocked atomic.Pointer[string] // why the broker takes no messages; nil: it does
	pings   chan chan<- error

	// By what the session is for, one of these is set.
	pipeline   *pipeline
	deliveries <-chan amqp.Delivery
}

// endpoint says where sessions go to, and as what.
type endpoint struct {
	url      string
	name     string // of the connection, for operators
	topology Topology
	routes   []route // that are published by, on this connection or for its sake
	log      *stateLog
}

// open connects, declares the topology, and has setUp make the channel ready
// for its purpose.
func (e endpoint) open(ctx context.Context, setUp func(*session) error) (*session, error) {
	timeout := e.connectTimeout()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not connected within %v", timeout))
	defer cancel()
	s := &session{endpoint: e, pings: make(chan chan<- error)}
	s.life, s.end = context.WithCancelCause(context.Background())
	defer context.AfterFunc(ctx, func() { s.end(context.Cause(ctx)) })()

	watch, err := s.connect(ctx)
	if err == nil {
		err = e.topology.declare(s.conn)
	}
	if err == nil {
		err = checkRoutes(s.conn, e.routes)
	}
	if err == nil {
		err = setUp(s)
	}
	if err != nil {
		err = e.explain(err)
		s.end(err)
		s.wg.Wait()
		return nil, cmp.Or(context.Cause(ctx), err)
	}
	s.wg.Go(watch)
	s.wg.Go(s.answerPings)
	return s, nil
}

func (e endpoint) connectTimeout() time.Duration {
	return cmp.Or(time.Duration(e.uri().ConnectionTimeout)*time.Millisecond, connectTimeout)
}

// uri returns the parts of the URL.
func (e endpoint) uri() amqp.URI {
	uri, _ := amqp.ParseURI(e.url) // checkURL has let no other pass
	return uri
}

// connect dials and opens the channel. It returns what then watches over both.
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
			context.AfterFunc(s.life, func() { conn.Close() })
			s.wire = &boundedConn{Conn: conn}
			return s.wire, nil
		},
	})
	if err != nil {
		return nil, err
	}
	connection := s.conn.NotifyClose(make(chan *amqp.Error, 1))
	blocked := s.conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	s.ch, err = s.conn.Channel()
	if err != nil {
		return nil, err
	}
	channel := s.ch.NotifyClose(make(chan *amqp.Error, 1))
	return func() { s.watch(connection, channel, blocked) }, nil
}

// watch ends the session when the connection or the channel is closed.
func (s *session) watch(connection, channel <-chan *amqp.Error, blocked <-chan amqp.Blocking) {
	again := time.NewTicker(sayAgain)
	defer again.Stop()
	for s.life.Err() == nil {
		select {
		case b, open := <-blocked:
			switch {
			case !open:
				blocked = nil // the reason follows
			case b.Active:
				s.blocked.Store(&b.Reason)
				s.noteBlocked()
			default:
				s.blocked.Store(nil)
				s.log.fine("broker takes messages again")
			}
		case <-again.C:
			s.noteBlocked()
		case err := <-connection:
			s.end(s.explain(closeReason(err)))
		case err := <-channel:
			s.end(s.explain(closeReason(err)))
		case <-s.life.Done():
		}
	}
	if cause := context.Cause(s.life); cause != errClosed {
		s.log.trouble(slog.LevelWarn, "disconnected from the broker", "reason", cause)
	}
}

func (s *session) noteBlocked() {
	if reason := s.blocked.Load(); reason != nil {
		s.log.trouble(slog.LevelWarn, "broker takes no messages", "reason", *reason)
	}
}

// release sends what is held; where that fails, the session is over.
func (s *session) release() {
	if err := s.wire.release(); err != nil {
		s.end(err)
	}
}

func closeReason(err *amqp.Error) error {
	if err == nil {
		return errClosed
	}
	return err
}

// ping asks the broker for an answer.
func (s *session) ping(ctx context.Context) error {
	if reason := s.blocked.Load(); reason != nil {
		return blockedError(*reason)
	}
	if s.wire.pausing.Load() {
		return nil // its answer would be behind what there is no room for
	}
	answer := make(chan error, 1)
	select {
	case s.pings <- answer:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.life.Done():
		return context.Cause(s.life)
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.life.Done():
		return context.Cause(s.life)
	}
}

// answerPings opens a channel of its own each time: two questions on one would
// mix up their answers.
func (s *session) answerPings() {
	for {
		select {
		case answer := <-s.pings:
			answer <- s.ask(func() error {
				ch, err := s.conn.Channel()
				if err != nil {
					return err
				}
				return ch.Close()
			})
		case <-s.life.Done():
			return
		}
	}
}

// ask ends the session if the broker does not answer the question in time.
func (s *session) ask(question func() error) error {
	waiting, answered := context.WithCancel(s.life)
	defer answered()
	s.expectAnswer(waiting)
	return question()
}

// expectAnswer ends the session if ctx has not ended in time. While nothing is
// read, no answer can come.
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

// close takes leave of the broker, or just hangs up if ctx ends first.
func (s *session) close(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { s.end(errClosed) })()
	s.conn.Close() // an error says only that the connection had ended before
	s.end(errClosed)
	s.wg.Wait()
}

func blockedError(reason string) error {
	return fmt.Errorf("the broker takes no messages: %s", reason)
}
