package rabbitmq

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/ports"
)

// newTestLink returns a link that connects by calling open, and its log.
func newTestLink(t *testing.T, open func(context.Context) (*session, error)) (*link, *strings.Builder) {
	var log strings.Builder
	l := newLink(loggingInto(&log), nil)
	l.open = open
	t.Cleanup(l.stop)
	return l, &log
}

func loggingInto(log *strings.Builder) endpoint {
	return endpoint{log: &stateLog{logger: slog.New(slog.NewTextHandler(log, nil))}}
}

func newTestSession() *session {
	s := &session{}
	s.lifetime, s.end = context.WithCancelCause(context.Background())
	return s
}

func TestConcurrentCallsShareOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		l, _ := newTestLink(t, func(context.Context) (*session, error) {
			attempts++
			time.Sleep(3 * time.Second)
			return newTestSession(), nil
		})
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.session(hasty); !errors.Is(err, ports.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want ErrUnavailable and the context's", err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		sessions := map[*session]int{}
		for range 10 {
			wg.Go(func() {
				s, err := l.session(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				sessions[s]++
			})
		}
		wg.Wait()
		if attempts != 1 || len(sessions) != 1 {
			t.Errorf("%d attempts and %d sessions, want one", attempts, len(sessions))
		}
	})
}

func TestLinkPausesBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts []time.Time
		l, log := newTestLink(t, func(context.Context) (*session, error) {
			attempts = append(attempts, time.Now())
			return nil, errors.New("no broker")
		})
		for range 1000 { // for 50 s
			start := time.Now()
			if _, err := l.session(t.Context()); !errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), "no broker") {
				t.Fatalf("error %v, want ErrUnavailable with the reason", err)
			}
			if d := time.Since(start); d != 0 {
				t.Fatalf("got the error after %v, want it immediately", d)
			}
			time.Sleep(50 * time.Millisecond)
		}
		for i := 1; i < len(attempts); i++ {
			pause := attempts[i].Sub(attempts[i-1])
			least := min(75*time.Millisecond<<(i-1), 3*time.Second)
			most := min(125*time.Millisecond<<(i-1), 5*time.Second) + 50*time.Millisecond
			if pause < least || pause > most {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, least, most)
			}
		}
		if n := len(attempts); n < 10 {
			t.Errorf("%d attempts in 50 s, want 10 or more", n)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d lines were logged, want one:\n%s", n, log)
		}
	})
}

func TestLinkAfterALoss(t *testing.T) {
	for name, tt := range map[string]struct {
		lasts time.Duration
		next  bool // the next session opens immediately
	}{
		"a session that lasted: immediately": {time.Minute, true},
		"a short session: after a pause":     {time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := newTestLink(t, func(context.Context) (*session, error) { return newTestSession(), nil })
				first, err := l.session(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(tt.lasts)
				first.end(errors.New("cut"))
				second, err := l.session(t.Context())
				if tt.next && (err != nil || second == first) {
					t.Errorf("error %v, want another session", err)
				}
				if !tt.next && (!errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), "cut")) {
					t.Errorf("error %v, want ErrUnavailable with the reason", err)
				}
				l.pause(t.Context())
				if _, err := l.session(t.Context()); err != nil {
					t.Errorf("after the pause: %v", err)
				}
			})
		})
	}
}

func TestBackoffResetsAfterASessionThatLasted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := errors.New("no broker")
		l, _ := newTestLink(t, func(context.Context) (*session, error) { return newTestSession(), broker })
		for start := time.Now(); time.Since(start) < time.Minute; l.pause(t.Context()) {
			l.session(t.Context())
		}
		broker = nil
		s, err := l.session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		s.end(errors.New("cut"))
		broker = errors.New("no broker")
		l.session(t.Context())
		start := time.Now()
		l.pause(t.Context())
		if d := time.Since(start); d > 125*time.Millisecond {
			t.Errorf("the first pause is %v, want at most 125ms", d)
		}
	})
}

// A link pauses between attempts even if the broker accepts each connection and then
// drops it.
func TestLinkPausesAfterShortSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		l, _ := newTestLink(t, func(context.Context) (*session, error) {
			attempts++
			return newTestSession(), nil
		})
		for start := time.Now(); time.Since(start) < time.Minute; l.pause(t.Context()) {
			if s, err := l.session(t.Context()); err == nil {
				s.end(errors.New("dropped"))
			}
		}
		if attempts > 25 {
			t.Errorf("%d attempts in a minute", attempts)
		}
	})
}

func TestCloseEndsTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newTestLink(t, func(ctx context.Context) (*session, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		go l.session(t.Context())
		synctest.Wait()
		l.close(t.Context())
		for range 2 {
			if _, err := l.session(t.Context()); !errors.Is(err, ports.ErrUnavailable) {
				t.Errorf("error %v, want ErrUnavailable", err)
			}
		}
		if log.Len() > 0 {
			t.Errorf("logged:\n%s", log)
		}
	})
}
