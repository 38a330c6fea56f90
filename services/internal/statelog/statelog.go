// Package statelog logs when something goes down, once a minute while it is down,
// and when it is up again, instead of each failed attempt.
package statelog

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
)

const (
	repeatAfter = time.Minute     // between two lines with the same reason
	minInterval = 5 * time.Second // between any two lines that something is down
)

// State is the state of one thing that may go down, such as a store. The zero
// State is up.
type State struct {
	isDown atomic.Bool
	mu     sync.Mutex
	since  time.Time // when it went down; zero: it is up
	logged bool      // whether Down has logged since then
	last   time.Time // when Down last logged
	reason string    // which it logged then, without ids and numbers
}

// Down notes a failure. It logs the reason at level warn when the thing goes down,
// when the reason changes, and once a minute. It logs at most one line in 5 s. From
// the second line on it also logs how long the thing has been down. Reasons that
// differ only in words with digits, such as ids and ports, are the same.
func (s *State) Down(ctx context.Context, log *slog.Logger, message string, reason error, args ...any) {
	if length, due := s.down(reason); due {
		if length > 0 {
			args = append([]any{"for", length.Round(time.Second).String()}, args...)
		}
		log.WarnContext(ctx, message, append(args, "error", reason)...)
	}
}

func (s *State) down(reason error) (length time.Duration, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, text := time.Now(), withoutIDs(reason.Error())
	if s.since.IsZero() {
		s.since = now
		s.isDown.Store(true)
	}
	pause := minInterval
	if s.logged && text == s.reason {
		pause = repeatAfter
	}
	if now.Sub(s.last) < pause {
		return 0, false
	}
	s.logged, s.last, s.reason = true, now, text
	return now.Sub(s.since), true
}

// Up notes a success. If Down has logged that the thing is down, Up logs at level
// info that it is up again, and after how long.
func (s *State) Up(ctx context.Context, log *slog.Logger, message string, args ...any) {
	s.mu.Lock()
	since, logged := s.since, s.logged
	s.since, s.logged = time.Time{}, false
	s.isDown.Store(false)
	s.mu.Unlock()
	if logged {
		log.InfoContext(ctx, message, append(args, "after", time.Since(since).Round(time.Millisecond).String())...)
	}
}

// IsDown reports whether Down was called after the last Up.
func (s *State) IsDown() bool { return s.isDown.Load() }

// withoutIDs returns the text without the words that contain a digit.
func withoutIDs(text string) string {
	words := slices.DeleteFunc(strings.Fields(text), func(word string) bool {
		return strings.ContainsFunc(word, unicode.IsDigit)
	})
	return strings.Join(words, " ")
}
