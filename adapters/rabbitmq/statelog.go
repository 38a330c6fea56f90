package rabbitmq

import (
	"context"
	"log/slog"
	"regexp"
	"sync"
	"time"
)

const (
	logAgain   = time.Minute // for trouble that lasts
	maxReasons = 16          // that are remembered
)

// stateLog logs the state of a connection when it changes, and trouble that lasts
// once a minute with how long it has lasted. Reasons that alternate are each
// logged once a minute.
type stateLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	state  string
	since  time.Time            // when trouble began; zero: no trouble
	logged map[string]time.Time // when each state and reason was last logged, since then
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
	key := state + ": " + generalized(reason.Error())
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

// generalized returns what reasons have in common that are the same to an
// operator. Each attempt to connect has another port, and there are several ways
// to hang up.
func generalized(reason string) string {
	if hungUp.MatchString(reason) {
		return "hung up"
	}
	return numbers.ReplaceAllString(reason, "0")
}

var (
	hungUp  = regexp.MustCompile(`\bEOF\b|connection reset by peer|broken pipe|connection is not open`)
	numbers = regexp.MustCompile(`[0-9]+`)
)
