package order_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/order"
)

func TestRelayWhileTheBrokerIsUnavailable(t *testing.T) {
	for name, hang := range map[string]bool{"failing": false, "hanging": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, new(outbox), &broker{err: fmt.Errorf("publish: %w", ports.ErrUnavailable), hang: hang})
				for minute := range 10 { // more events than the relay buffers
					s.add(t, minute*2000, minute*2000+1999)
					time.Sleep(time.Minute)
				}
				s.want(t, 0, 0)
				s.broker.set(nil, false)
				time.Sleep(30 * time.Second)
				s.want(t, 20_000, 0)
				s.add(t, 20_000, 20_000)
				time.Sleep(publishPause)
				s.want(t, 20_001, 0)
				s.stop()
				s.wantLeft(t, 0)
			})
		})
	}
}

// A call that times out is an outage and no refusal, even if its error does not wrap
// ErrUnavailable.
func TestRelayCallTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newSystem(new(outbox), &broker{hang: true}, slog.New(slog.NewTextHandler(&log, nil)))
		s.run(t)
		s.add(t, 1, 1)
		time.Sleep(6 * time.Second)
		s.stop()
		if got := log.String(); !strings.Contains(got, "events can't be published") || strings.Contains(got, "refused") {
			t.Errorf("the log says %q, want an outage", got)
		}
	})
}

type publisherFunc func(ctx context.Context, events ...domain.Event) []error

func (f publisherFunc) Publish(ctx context.Context, events ...domain.Event) []error {
	return f(ctx, events...)
}

// The relay uses each event's own answer: it marks accepted events, releases refused
// ones and retries unanswered ones.
func TestRelayUsesAnswerOfEachEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(new(outbox), refusing(t, 2), discard)
		var mu sync.Mutex
		var calls [][]domain.EventID
		s.relay = must(order.NewRelay(s.outbox, publisherFunc(func(ctx context.Context, events ...domain.Event) []error {
			var ids []domain.EventID
			for _, event := range events {
				ids = append(ids, event.ID)
			}
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, ids)
			if len(calls) == 1 { // no answer for the last
				last := len(events) - 1
				return append(s.broker.Publish(ctx, events[:last]...), ports.ErrUnavailable)
			}
			return s.broker.Publish(ctx, events...)
		}), discard))
		s.add(t, 1, 4)
		s.run(t)
		time.Sleep(8 * time.Second)
		s.want(t, 3, 0)
		id := func(n int) domain.EventID { return eventID(t, n) }
		mu.Lock()
		if diff := cmp.Diff([][]domain.EventID{{id(1), id(2), id(3), id(4)}, {id(4)}}, calls); diff != "" {
			t.Errorf("calls of Publish (-want +got):\n%s", diff)
		}
		mu.Unlock()
		time.Sleep(4 * time.Second) // the refused event is tried before its claim would have run out
		mu.Lock()
		defer mu.Unlock()
		if len(calls) != 3 || calls[2][0] != id(2) {
			t.Errorf("calls of Publish within 12s: %v, want a third one for %s", calls, id(2))
		}
	})
}

// Refused events delay no others. The relay retries them at growing intervals, and
// publishes them once the broker accepts them.
func TestRelayRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, new(outbox), refusing(t, 1, 2, 3, 4, 500)) // the oldest among them
		s.add(t, 1, 1000)
		time.Sleep(time.Minute)
		s.want(t, 995, 0)

		time.Sleep(time.Hour)
		s.broker.mu.Lock()
		tries := s.broker.refused
		s.broker.mu.Unlock()
		if tries < 60 || tries > 5000 {
			t.Errorf("tried %d times within an hour, want a few times a minute", tries)
		}
		s.add(t, 1001, 2000)
		time.Sleep(time.Second)
		s.want(t, 1995, 0)

		s.broker.mu.Lock()
		clear(s.broker.refuses)
		s.broker.mu.Unlock()
		time.Sleep(2 * time.Minute)
		s.want(t, 2000, 0)
		s.stop()
		s.wantLeft(t, 0)
	})
}

// The relay publishes good events behind any number of refused ones.
func TestRelayManyRefused(t *testing.T) {
	for _, tt := range []struct {
		refused, good int
		within        time.Duration
	}{{10, 1, 5 * time.Second}, {40, 40, 10 * time.Second}, {1000, 200, time.Minute}} {
		t.Run(fmt.Sprintf("%d before %d", tt.refused, tt.good), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := new(outbox)
				addUnclaimed(t, left, tt.refused+tt.good)
				s := start(t, left, refusing(t, upTo(tt.refused, 1)...))
				time.Sleep(tt.within)
				s.want(t, tt.good, 0)
				s.stop()
				s.wantLeft(t, tt.refused)
			})
		})
	}
}

// upTo returns the numbers 0, step, 2*step and so on below limit.
func upTo(limit, step int) (numbers []int) {
	for n := 0; n < limit; n += step {
		numbers = append(numbers, n)
	}
	return numbers
}

// Releasing refused events to a hanging outbox takes one timeout, not one for each
// event.
func TestRelayReleaseHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &outbox{onRelease: hang}, refusing(t, upTo(200, 2)...))
		s.add(t, 0, 199)
		time.Sleep(time.Minute)
		s.add(t, 200, 200)
		time.Sleep(30 * time.Second)
		s.broker.mu.Lock()
		fresh := s.broker.published[eventID(t, 200)]
		s.broker.mu.Unlock()
		if fresh != 1 {
			t.Errorf("a fresh event was published %d times within 30s, want once", fresh)
		}
	})
}

// A broker that refuses everything is an outage. The log has one line a minute. The
// relay publishes all events within 3 s of the broker's return, whether they came
// together or one by one.
func TestRelayAllRefused(t *testing.T) {
	for _, tt := range []struct {
		name             string
		together, events int
		lasts            string // in the log
		more             int    // log lines, at most, beside those of the outage
	}{
		{"many together", 1000, 1200, "for=59m", 2},
		{"one by one", 0, 340, "for=57m", 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := newSystem(new(outbox), &broker{err: errors.New("no queue takes it")}, slog.New(slog.NewTextHandler(&log, nil)))
				s.add(t, 1, tt.together) // before the relay runs, so that it meets them together
				s.run(t)
				began := time.Now()
				for n := tt.together; n < tt.events; n++ {
					s.add(t, n+1, n+1)
					time.Sleep(10 * time.Second)
				}
				time.Sleep(time.Hour - time.Since(began))
				s.broker.set(nil, false)
				time.Sleep(3 * time.Second)
				s.want(t, tt.events, 0)
				s.stop()
				s.wantLeft(t, 0)
				down := strings.Count(log.String(), "events can't be published; they wait in the outbox")
				if n := strings.Count(log.String(), "\n"); down < 58 || down > 61 || n > down+tt.more {
					t.Errorf("%d lines logged, %d of the outage:\n%.3000s", n, down, log.String())
				}
				for _, want := range []string{tt.lasts, fmt.Sprintf("waiting_at_least=%d", tt.events), "events are published again"} {
					if !strings.Contains(log.String(), want) {
						t.Errorf("no line has %q", want)
					}
				}
			})
		})
	}
}

// A slow broker delays a backlog, and gets no event twice.
func TestRelayToASlowBroker(t *testing.T) {
	for _, tt := range []struct {
		events   int
		perEvent time.Duration
	}{{12_000, time.Millisecond}, {12_000, 6 * time.Millisecond}, {12_000, 15 * time.Millisecond}, {4000, 6 * time.Millisecond}} {
		t.Run(fmt.Sprintf("%d events, %v each", tt.events, tt.perEvent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSystem(new(outbox), &broker{perEvent: tt.perEvent}, discard)
				s.add(t, 1, tt.events)
				s.run(t)
				time.Sleep(time.Duration(tt.events)*tt.perEvent*5/4 + 20*time.Second) // the claims from adding last 15 s
				s.want(t, tt.events, 0)
				s.stop()
				s.wantLeft(t, 0)
			})
		})
	}
}

// A broker that can't take a whole batch in time gets smaller batches. It gets events
// again that it took without a timely answer, but not for ever.
func TestRelayToAVerySlowBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(new(outbox), &broker{perEvent: 100 * time.Millisecond}, discard)
		s.add(t, 1, 1000)
		s.run(t)
		time.Sleep(5 * time.Minute)
		events, repeated := s.broker.counts()
		if events != 1000 || repeated > 250 {
			t.Errorf("%d of 1000 events published, %d of them repeatedly; want all, and 250 at most", events, repeated)
		}
		s.stop()
		s.wantLeft(t, 0)
	})
}

// A few refused events hardly delay the backlog to a slow broker.
func TestRelayRefusedBySlowBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events = 8000
		b := refusing(t, upTo(events, 2000)...)
		b.perEvent = time.Millisecond
		left := new(outbox)
		addUnclaimed(t, left, events)
		s := start(t, left, b)
		time.Sleep(20 * time.Second)
		if published, _ := b.counts(); published != events-len(b.refuses) {
			t.Errorf("%d of %d events were published within 20 s, which would take 8 s if none were refused", published, events-len(b.refuses))
		}
		s.stop()
	})
}
