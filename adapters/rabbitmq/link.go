package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/orderflow/ports"
)

// link keeps one session. It opens the session at the first call, and a new one
// when the session has ended; concurrent calls share one attempt. Between attempts
// it pauses with a growing backoff. During a pause callers get the last error
// immediately, because some have little time, such as a readiness check.
type link struct {
	endpoint
	open           func(context.Context) (*session, error)
	lifetime       context.Context // ends when the link is closed
	stop           context.CancelFunc
	replaceTimeout time.Duration // for one try of replace

	mu      sync.Mutex
	latest  *attempt // nil: no attempt yet
	next    time.Time
	backoff backoff.BackOff
}

type attempt struct {
	over    chan struct{} // closed once the others are set
	session *session
	err     error
}

const maxBackoff = 5 * time.Second

func newLink(e endpoint, setUp func(*session) error) *link {
	l := &link{endpoint: e, replaceTimeout: replaceTimeout, backoff: &backoff.ExponentialBackOff{
		InitialInterval: 100 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.25, MaxInterval: maxBackoff * 4 / 5, // so maxBackoff at most
	}}
	l.backoff.Reset()
	l.open = func(ctx context.Context) (*session, error) { return e.open(ctx, setUp) }
	l.lifetime, l.stop = context.WithCancel(context.Background())
	return l
}

// session returns a session that was alive a moment ago.
func (l *link) session(ctx context.Context) (*session, error) {
	a := l.attempt()
	select {
	case <-a.over:
	case <-ctx.Done():
		return nil, unavailable(fmt.Errorf("connecting takes long (RabbitMQ answers a wrong login after seconds): %w", ctx.Err()))
	}
	if a.err != nil {
		return nil, unavailable(a.err)
	}
	if a.session.lifetime.Err() != nil {
		return nil, unavailable(context.Cause(a.session.lifetime))
	}
	return a.session, nil
}

// attempt returns the latest attempt to connect. It begins another if the latest
// has failed, or its session has ended, and the backoff is over.
func (l *link) attempt() *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.latest != nil && (!l.latest.spent() || time.Now().Before(l.next) || l.lifetime.Err() != nil) {
		return l.latest
	}
	a := &attempt{over: make(chan struct{})}
	if l.lifetime.Err() != nil {
		a.err = errClosed
		close(a.over)
		return a
	}
	// A short session counts as a failure. Otherwise the link would open sessions that
	// can't last without a pause. An unreadable message does not count, because it must
	// break several connections before the broker sets it aside.
	if l.latest != nil && l.latest.session != nil &&
		(time.Since(l.next) > maxBackoff || isUnreadable(context.Cause(l.latest.session.lifetime))) {
		l.backoff.Reset()
	}
	l.next = time.Now().Add(l.backoff.NextBackOff())
	l.latest = a
	go func() { // close waits for it
		defer close(a.over)
		a.session, a.err = l.open(l.lifetime)
		l.logAttempt(a.err)
	}()
	return a
}

// spent reports whether the attempt has failed or its session has ended.
func (a *attempt) spent() bool {
	select {
	case <-a.over:
		return a.err != nil || a.session.lifetime.Err() != nil
	default:
		return false
	}
}

func (l *link) logAttempt(err error) {
	level, state := slog.LevelError, ""
	var mismatch *TopologyError
	switch {
	case err == nil:
		l.log.up("connected to the broker")
		return
	case l.lifetime.Err() != nil:
		return
	case errors.As(err, &mismatch):
		state = "the broker has a queue or exchange with other properties"
	case isTopologyError(err):
		state = "the broker can't create the topology"
	case errors.Is(err, ports.ErrRefused):
		state = "the broker refuses the login or a right; trying again"
	default:
		level, state = slog.LevelWarn, "no connection to the broker; trying again"
	}
	l.log.down(level, state, err)
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

// ping returns nil if the broker answers and takes messages.
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

// publish publishes the messages and returns an error for each, as
// [pipeline.publish] does. Before that it removes from them, in place, the headers
// that do not fit into a frame of the session.
func (l *link) publish(ctx context.Context, messages ...message) []error {
	errs := make([]error, len(messages))
	for i, m := range messages {
		if errs[i] = ctx.Err(); errs[i] == nil {
			errs[i] = m.check()
		}
	}
	if !slices.Contains(errs, nil) {
		return errs
	}
	s, err := l.session(ctx)
	if err != nil {
		return complete(errs, err)
	}
	for i, m := range messages {
		if errs[i] != nil {
			continue
		}
		var leftOut []string
		if messages[i].Publishing, leftOut = fit(m.Publishing, s.conn.Config.FrameSize); len(leftOut) > 0 {
			l.log.logger.WarnContext(ctx, "headers too long for a frame are left out",
				"message_id", m.MessageId, "count", len(leftOut), "headers", bounded(strings.Join(leftOut, ", ")))
		}
	}
	return s.pipeline.publish(ctx, messages, errs)
}

// The bounds of replacing a delivery.
const (
	replaceTimeout = 3 * time.Second // for one try; less than StopTimeout's default
	replacePause   = time.Second     // between two tries
)

// replace publishes the message that takes the place of a delivery, repeatedly
// until the broker has confirmed it. It returns the message as it was sent, and
// true. Until then the delivery stays unacknowledged. If it were given back, it
// would come again immediately, fail, and count towards the queue's delivery limit.
// So a broker that takes no messages stops a consumer whose deliveries all fail.
//
// It returns false if the session ends, or if ctx ends and one more try fails.
func (l *link) replace(ctx context.Context, s *session, m message) (sent message, ok bool) {
	for {
		messages := []message{m} // publish removes headers here; a try that timed out may still read its messages
		try, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.replaceTimeout)
		err := l.publish(try, messages...)[0]
		cancel()
		if err == nil {
			return messages[0], true
		}
		if !s.pause(ctx, replacePause) {
			return m, false
		}
	}
}

// close ends the session. If ctx ends first, it closes only the socket.
func (l *link) close(ctx context.Context) {
	l.stop()
	l.mu.Lock()
	a := l.latest
	l.mu.Unlock()
	if a == nil {
		return
	}
	<-a.over // soon, because l.lifetime has ended
	if a.session != nil {
		a.session.close(ctx)
	}
}

const (
	logAgain   = time.Minute // between two lines about the same trouble
	maxReasons = 16          // kept in a stateLog
)

// stateLog logs each change of a connection's state. While trouble lasts, it logs
// each reason again once a minute, with the duration of the trouble.
type stateLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	state  string
	since  time.Time            // when the trouble began; zero: no trouble
	logged map[string]time.Time // when each state and reason of the trouble was last logged
}

// up logs that the connection works again.
func (l *stateLog) up(state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != state {
		l.state, l.since, l.logged = state, time.Time{}, nil
		l.logger.Info(state)
	}
}

// down logs that the connection does not work, and why.
func (l *stateLog) down(level slog.Level, state string, reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.since.IsZero() {
		l.since, l.logged = now, make(map[string]time.Time)
	}
	l.state = state
	key := state + ": " + generalize(reason.Error())
	if last, ok := l.logged[key]; ok && now.Sub(last) < logAgain {
		return
	}
	if len(l.logged) == maxReasons {
		clear(l.logged)
	}
	l.logged[key] = now
	args := []any{"error", reason}
	if lasted := now.Sub(l.since).Round(time.Second); lasted > 0 {
		args = append(args, "for", lasted.String())
	}
	l.logger.Log(context.Background(), level, state, args...)
}

// generalize returns the same text for reasons that mean the same to an operator:
// each attempt to connect has another port, and brokers hang up in several ways.
func generalize(reason string) string {
	if hungUp.MatchString(reason) {
		return "hung up"
	}
	return numbers.ReplaceAllString(reason, "0")
}

var (
	hungUp  = regexp.MustCompile(`\bEOF\b|connection reset by peer|broken pipe|connection is not open`)
	numbers = regexp.MustCompile(`[0-9]+`)
)
