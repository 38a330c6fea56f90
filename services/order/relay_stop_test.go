package order_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// A relay that stops publishes each enqueued event once. The outbox keeps the events
// that the broker does not accept.
func TestRelayStops(t *testing.T) {
	const events = 5000
	tests := []struct {
		name      string
		broker    *broker
		published int
		within    time.Duration
	}{
		{"broker up", new(broker), events, 0},
		{"broker unavailable", &broker{err: ports.ErrUnavailable}, 0, 0},
		{"broker hanging", &broker{hang: true}, 0, 5 * time.Second},
		{"broker refusing an event", refusing(t, 1000), events - 1, 0},
	}
	for _, tt := range tests {
		for name, stop := range map[string]func(*testing.T, *system){
			"while it runs":  func(t *testing.T, s *system) { s.run(t); s.add(t, 1, events); s.stop() },
			"before it runs": func(t *testing.T, s *system) { s.add(t, 1, events); s.runStopped(t) },
		} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &broker{err: tt.broker.err, hang: tt.broker.hang, refuses: tt.broker.refuses}
					s := newSystem(new(outbox), b, discard)
					began := time.Now()
					stop(t, s)
					if d := time.Since(began); d > tt.within {
						t.Errorf("stopped after %v, want %v at most", d, tt.within)
					}
					s.want(t, tt.published, 0)
					s.wantLeft(t, events-tt.published)
				})
			})
		}
	}
}

// A relay that stops publishes young events. It leaves old events, whose claims may
// run out, to the next sweep.
func TestRelayStopsWithOldEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(new(outbox), new(broker), discard)
		s.add(t, 1, 1000)
		time.Sleep(10 * time.Second)
		s.add(t, 1001, 2000)
		s.runStopped(t)
		s.want(t, 1000, 0)
		s.wantLeft(t, 1000)
	})
}

// A relay that stops waits for a hanging outbox once, not once for each batch.
func TestRelayStopsWhileMarksHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(&outbox{onMark: hang}, new(broker), discard)
		s.add(t, 1, 5000)
		began := time.Now()
		s.runStopped(t)
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("stopped after %v, want 5s at most", d)
		}
		s.want(t, 5000, 0)
		if s.outbox.marks != 1 {
			t.Errorf("%d calls of MarkPublished, want one", s.outbox.marks)
		}
		s.wantLeft(t, 5000)
	})
}

// Run returns within 5 s, even with a long backlog and slow calls.
func TestRelayStopsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &outbox{onMark: func(ctx context.Context) error { return sleep(ctx, 3*time.Second) }}
		s := start(t, slow, &broker{before: func(int) { time.Sleep(time.Second) }})
		s.add(t, 1, 8000)
		time.Sleep(1500 * time.Millisecond)
		began := time.Now()
		s.stop()
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("stopped after %v, want 5s at most", d)
		}
	})
}

// The relay releases events that it has claimed but not tried.
func TestRelayReleasesUntriedEvents(t *testing.T) {
	const events, batch = 3000, 256
	start := func(t *testing.T, second func(*system)) *system {
		s := newSystem(new(outbox), new(broker), discard)
		s.broker.before = func(call int) {
			if call == 2 {
				second(s)
			}
		}
		addUnclaimed(t, s.outbox, events)
		s.run(t)
		synctest.Wait()
		return s
	}
	t.Run("when the relay stops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, func(s *system) { s.end() })
			s.want(t, 2*batch, 0)
			free, err := s.outbox.Claim(t.Context(), events)
			if err != nil {
				t.Fatal(err)
			}
			var want, got []domain.EventID
			for n := 2 * batch; n < events; n++ {
				want = append(want, eventID(t, n))
			}
			for _, event := range free {
				got = append(got, event.ID)
			}
			slices.Sort(got) // released together, they have no order
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("free events (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("when the broker becomes unavailable", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, func(s *system) { s.broker.set(ports.ErrUnavailable, false) })
			time.Sleep(6 * time.Second) // the next sweep tries another batch
			s.want(t, batch, 0)
			s.broker.set(nil, false)
			time.Sleep(3 * time.Second)
			s.want(t, events-batch, 0) // the claims on the first one tried still hold
			time.Sleep(10 * time.Second)
			s.want(t, events, 0)
		})
	})
}
