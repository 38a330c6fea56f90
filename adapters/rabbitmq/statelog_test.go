package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
)

func TestStateLog(t *testing.T) {
	const lost = "no connection"
	type step struct {
		after time.Duration
		err   string // empty: connected
	}
	every := func(n int, pause time.Duration, errs ...string) []step {
		steps := make([]step, n)
		for i := range steps {
			steps[i] = step{pause, strings.ReplaceAll(errs[i%len(errs)], "PORT", fmt.Sprint(40000+i))}
		}
		return steps
	}
	const refused, reset = "dial tcp [::1]:5672: connection refused", "read tcp 127.0.0.1:PORT->127.0.0.1:5672: i/o reset"
	for name, tt := range map[string]struct {
		steps []step
		want  []string
	}{
		"a repeated reason once": {every(20, time.Second, refused),
			[]string{"refused"}},
		"reasons that differ in numbers": {every(20, time.Second, reset),
			[]string{"reset"}},
		"another reason": {append(every(5, time.Second, refused), every(5, time.Second, reset)...),
			[]string{"refused", "reset for=5s"}},
		"a lasting reason each minute": {every(130, time.Second, refused),
			[]string{"refused", "refused for=1m0s", "refused for=2m0s"}},
		"alternating reasons": {every(70, time.Second, refused, reset),
			[]string{"refused", "reset for=1s", "refused for=1m0s", "reset for=1m1s"}},
		"hung up in several ways": {every(9, time.Second, "reset: EOF", "reset: connection reset by peer", "reset: write: broken pipe"),
			[]string{"reset"}},
		"lost again": {[]step{{0, refused}, {time.Second, ""}, {time.Second, ""}, {time.Second, refused}, {time.Second, refused}},
			[]string{"refused", "connected", "refused"}},
		"always connected": {every(200, time.Second, ""),
			[]string{"connected"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out strings.Builder
				log := &stateLog{logger: slog.New(slog.NewTextHandler(&out, nil))}
				for _, step := range tt.steps {
					time.Sleep(step.after)
					if step.err == "" {
						log.up("connected")
					} else {
						log.down(slog.LevelWarn, lost, errors.New(step.err))
					}
				}
				var got []string
				for line := range strings.Lines(out.String()) {
					said := ""
					for _, word := range []string{"refused", "reset", "connected"} {
						if strings.Contains(line, word) {
							said = word
						}
					}
					if _, lasted, ok := strings.Cut(strings.TrimSpace(line), " for="); ok {
						said += " for=" + lasted
					}
					got = append(got, said)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("lines (-want +got):\n%s\n%s", diff, out.String())
				}
			})
		})
	}
}

func TestStateLogBoundsReasons(t *testing.T) {
	log := &stateLog{logger: slog.New(slog.DiscardHandler)}
	for i := range 1000 {
		log.down(slog.LevelWarn, "no connection", errors.New(strings.Repeat("x", i)))
	}
	if n := len(log.logged); n > maxReasons {
		t.Errorf("%d reasons are kept, want at most %d", n, maxReasons)
	}
}

// An outage is logged when it begins, when its reason changes, and every minute.
func TestLinkLogsLastingOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l, log := newTestLink(t, func(ctx context.Context) (*session, error) {
			if time.Since(start) < 90*time.Second {
				return nil, errors.New("no broker")
			}
			return nil, errors.New("no password")
		})
		for time.Since(start) < 3*time.Minute {
			l.session(t.Context())
			l.pause(t.Context())
		}
		lines := strings.Count(log.String(), "\n")
		if lines != 4 || strings.Count(log.String(), "no broker") != 2 || strings.Count(log.String(), "no password") != 2 ||
			strings.Count(log.String(), " for=") != 3 {
			t.Errorf("logged, want each reason, and each again after a minute:\n%s", log)
		}
	})
}

func TestSessionLogsLastingBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		s := newTestSession()
		s.endpoint = loggingInto(&out)
		blocked := make(chan amqp.Blocking)
		go s.watch(nil, nil, blocked)
		blocked <- amqp.Blocking{Active: true, Reason: "low on memory"}
		time.Sleep(150 * time.Second)
		blocked <- amqp.Blocking{}
		time.Sleep(150 * time.Second)
		s.end(errClosed)
		synctest.Wait()
		if strings.Count(out.String(), "low on memory") != 3 || strings.Count(out.String(), "\n") != 4 {
			t.Errorf("logged, want the alarm three times and its end:\n%s", out.String())
		}
	})
}
