package rabbitmq

import (
	"context"
	"log/slog"
	"regexp"
	"sync"
	"time"
)

const (
	sayAgain   = time.Minute // what lasts
	maxReasons = 16          // that are remembered
)

// stateLog logs what has become of a connection: each change once, however
// often it is met, and trouble that lasts once a minute, with for how long it
// has lasted.
type stateLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	state  string
	since  time.Time            // when trouble began; zero: there is none
	said   map[string]time.Time // which states and reasons, since then
}

// fine logs that a connection is as it should be.
func (l *stateLog) fine(state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == state {
		return
	}
	l.state, l.since, l.said = state, time.Time{}, nil
	l.logger.Info(state)
}

// trouble logs that it is not, and why. Several reasons that take turns are
// each logged once a minute.
func (l *stateLog) trouble(level slog.Level, state, name string, reason any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.since.IsZero() {
		l.since, l.said = now, make(map[string]time.Time)
	}
	l.state = state
	key := state + ": " + kind(slog.AnyValue(reason).String())
	if last, said := l.said[key]; said && now.Sub(last) < sayAgain {
		return
	}
	if len(l.said) == maxReasons {
		clear(l.said)
	}
	l.said[key] = now
	args := []any{name, reason}
	if lasted := now.Sub(l.since).Round(time.Second); lasted > 0 {
		args = append(args, "for", lasted.String())
	}
	l.logger.Log(context.Background(), level, state, args...)
}

// kind returns what two reasons have in common if they are the same to an
// operator: numbers make no other one, for each attempt to connect has a port of
// its own, nor does how the other side has hung up.
func kind(reason string) string {
	if hungUp.MatchString(reason) {
		return "hung up"
	}
	return numbers.ReplaceAllString(reason, "0")
}

var (
	hungUp  = regexp.MustCompile(`\bEOF\b|connection reset by peer|broken pipe|connection is not open`)
	numbers = regexp.MustCompile(`[0-9]+`)
)
