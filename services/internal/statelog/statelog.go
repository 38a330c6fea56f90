// Package statelog logs that something is down, and that it is up again: not at
// each attempt, and not only once.
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
	again = time.Minute     // between two lines of a state and a reason that last
	calm  = 5 * time.Second // between any two lines that something is down
)

// State is what is known of one thing that may be down, such as a store. The
// zero State is up.
type State struct {
	isDown atomic.Bool
	mu     sync.Mutex
	since  time.Time // when it went down; zero: it is up
	told   bool      // and that was logged
	logged time.Time // when it was last logged that it is down
	reason string    // the one that was logged then, without its ids and numbers
}

// Down logs at level warn that the thing is down and why, and from the second
// line on for how long. It logs when the thing goes down, when the reason is
// another, and once in each minute. Ids and numbers, such as a connection's port,
// make no other reason. Things that go up and down, or change their reasons, are
// logged every 5 s at most.
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
	pause := calm
	if s.told && text == s.reason {
		pause = again
	}
	if now.Sub(s.logged) < pause {
		return 0, false
	}
	s.told, s.logged, s.reason = true, now, text
	return now.Sub(s.since), true
}

// Up logs at level info that the thing is up again, if it was logged to be down,
// and for how long it was.
func (s *State) Up(ctx context.Context, log *slog.Logger, message string, args ...any) {
	s.mu.Lock()
	since, told := s.since, s.told
	s.since, s.told = time.Time{}, false
	s.isDown.Store(false)
	s.mu.Unlock()
	if told {
		log.InfoContext(ctx, message, append(args, "after", time.Since(since).Round(time.Millisecond).String())...)
	}
}

// IsDown reports whether the thing was down when it was last heard of.
func (s *State) IsDown() bool { return s.isDown.Load() }

// withoutIDs returns the text without the words that have a digit in them.
func withoutIDs(text string) string {
	words := slices.DeleteFunc(strings.Fields(text), func(word string) bool {
		return strings.ContainsFunc(word, unicode.IsDigit)
	})
	return strings.Join(words, " ")
}
