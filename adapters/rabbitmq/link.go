package rabbitmq

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/ports"
)

// link keeps one session, opened when it is first asked for and anew when it
// has ended. Whoever asks meanwhile waits for the one attempt under way.
// Between attempts lies a pause that grows; who asks in a pause is told at once
// what the last attempt came to, for a caller with little time, such as a
// readiness check, has no use for waiting.
type link struct {
	endpoint
	open func(context.Context) (*session, error)
	life context.Context // ends when the link is closed
	stop context.CancelFunc

	mu     sync.Mutex
	latest *attempt // nil: none yet
	next   time.Time
	pauses backoff.BackOff
}

type attempt struct {
	over    chan struct{} // closed once the others are set
	session *session
	err     error
}

const longestPause = 5 * time.Second

func newLink(e endpoint, setUp func(*session) error) *link {
	pauses := &backoff.ExponentialBackOff{
		InitialInterval: 100 * time.Millisecond, Multiplier: 2,
		RandomizationFactor: 0.25, MaxInterval: longestPause * 4 / 5,
	}
	pauses.Reset()
	open := func(ctx context.Context) (*session, error) { return e.open(ctx, setUp) }
	l := &link{endpoint: e, open: open, pauses: pauses}
	l.life, l.stop = context.WithCancel(context.Background())
	return l
}

// session returns a session that was alive a moment ago.
func (l *link) session(ctx context.Context) (*session, error) {
	a := l.attempt()
	select {
	case <-a.over:
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	if a.err != nil {
		return nil, unavailable(a.err)
	}
	if a.session.life.Err() != nil {
		return nil, unavailable(context.Cause(a.session.life))
	}
	return a.session, nil
}

// attempt returns the latest attempt to connect, which it begins if there is
// no session and the pause is over.
func (l *link) attempt() *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.latest != nil && (!l.latest.spent() || time.Now().Before(l.next) || l.life.Err() != nil) {
		return l.latest
	}
	a := &attempt{over: make(chan struct{})}
	if l.life.Err() != nil {
		a.err = errClosed
		close(a.over)
		return a
	}
	// A session that broke off soon counts as a failure, or one that can't
	// last would be opened again and again without a pause.
	// Not if that was a delivery's fault, which is set aside only once it has
	// broken several.
	if l.latest != nil && l.latest.session != nil &&
		(time.Since(l.next) > longestPause || isUnreadable(context.Cause(l.latest.session.life))) {
		l.pauses.Reset()
	}
	l.next = time.Now().Add(l.pauses.NextBackOff())
	l.latest = a
	go func() { // close waits for it
		defer close(a.over)
		a.session, a.err = l.open(l.life)
		l.note(a.err)
	}()
	return a
}

// spent reports whether the attempt has failed or its session has ended.
func (a *attempt) spent() bool {
	select {
	case <-a.over:
		return a.err != nil || a.session.life.Err() != nil
	default:
		return false
	}
}

// ping asks the broker for an answer, over a session.
func (l *link) ping(ctx context.Context) error {
	s, err := l.session(ctx)
	if err != nil {
		return err
	}
	if err := s.ping(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

// pause waits until another attempt may begin, or ctx ends.
func (l *link) pause(ctx context.Context) {
	l.mu.Lock()
	next := l.next
	l.mu.Unlock()
	select {
	case <-time.After(time.Until(next)):
	case <-ctx.Done():
	}
}

// close ends the session, taking leave of the broker if ctx lets it.
func (l *link) close(ctx context.Context) {
	l.stop()
	l.mu.Lock()
	a := l.latest
	l.mu.Unlock()
	if a == nil {
		return
	}
	<-a.over // soon: the attempt has ended with l.life
	if a.session != nil {
		a.session.close(ctx)
	}
}

func (l *link) note(err error) {
	var mismatch *TopologyError
	switch {
	case err == nil:
		l.log.fine("connected to the broker")
	case l.life.Err() != nil:
	case errors.As(err, &mismatch):
		l.log.trouble(slog.LevelError, "broker has other queues than wanted", "error", err)
	case isOfTopology(err):
		l.log.trouble(slog.LevelError, "broker can't have the queues that are wanted", "error", err)
	case errors.Is(err, ports.ErrRefused):
		l.log.trouble(slog.LevelError, "the broker refuses the login or a right; it is tried again", "error", err)
	default:
		l.log.trouble(slog.LevelWarn, "no connection to the broker; it is tried again", "error", err)
	}
}

// isUnreadable reports whether the connection broke on something that the
// library can't read, such as headers nested too deep, and did not just end:
// both are a frame error to it.
func isUnreadable(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == amqp.FrameError && !e.Server && strings.HasPrefix(e.Reason, "Exception (")
}
