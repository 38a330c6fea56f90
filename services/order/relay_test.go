package order_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// publishPause is the relay's longest pause between small batches.
const publishPause = 20 * time.Millisecond

// taking returns a broker that takes that long for each call.
func taking(took time.Duration) *broker {
	return &broker{before: func(int) { time.Sleep(took) }}
}

// The relay publishes the first event at once. Later events wait for the pause,
// unless 64 of them wait. The pause is short if the broker is quick.
func TestRelayPublishesFreshEvents(t *testing.T) {
	for _, tt := range []struct{ took, pause time.Duration }{
		{time.Millisecond, 4 * time.Millisecond},
		{publishPause / 4, publishPause},
		{publishPause / 2, publishPause},
	} {
		t.Run(tt.took.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, new(outbox), taking(tt.took))
				s.add(t, 1, 1)
				time.Sleep(tt.took)
				s.want(t, 1, 0)
				s.add(t, 2, 64)
				s.want(t, 1, 0)
				s.add(t, 65, 65)
				time.Sleep(tt.took)
				s.want(t, 65, 0)
				s.add(t, 66, 70)
				time.Sleep(tt.pause - time.Nanosecond)
				s.want(t, 65, 0)
				time.Sleep(time.Nanosecond)
				s.want(t, 70, 0)
				if s.broker.calls != 3 {
					t.Errorf("%d calls of Publish, want 3", s.broker.calls)
				}
				time.Sleep(tt.pause)
				s.add(t, 71, 71)
				time.Sleep(tt.took)
				s.want(t, 71, 0)
				s.stop()
				s.wantLeft(t, 0)
			})
		})
	}
}

// The relay pauses after two slow calls, but not after one.
func TestRelayForgivesASlowCall(t *testing.T) {
	const quick, slow = time.Millisecond, publishPause / 2
	synctest.Test(t, func(t *testing.T) {
		took := []time.Duration{quick, slow, slow, quick, quick}
		pauses := []time.Duration{0, 3 * quick, 0, publishPause - slow, 3 * quick} // after the end of the last call
		s := start(t, new(outbox), &broker{before: func(call int) { time.Sleep(took[call-1]) }})
		for n := range took {
			s.add(t, n, n)
			time.Sleep(pauses[n] + took[n] - time.Nanosecond)
			s.want(t, n, 0)
			time.Sleep(time.Nanosecond)
			s.want(t, n+1, 0)
		}
		s.stop()
	})
}

// The relay publishes and marks events in batches, even if they come one by one.
func TestRelayBoundsTheRateOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const took = publishPause / 4
		s := start(t, new(outbox), taking(took))
		for n := range 1000 {
			s.add(t, n, n)
			time.Sleep(time.Millisecond)
		}
		began := time.Now()
		s.stop()
		if d := time.Since(began); d > 2*took {
			t.Errorf("stopped after %v, want after two calls of Publish at most", d)
		}
		s.want(t, 1000, 0)
		if most := int(time.Second / publishPause); s.broker.calls < most*4/5 || s.broker.calls > most*6/5 {
			t.Errorf("1000 events within a second were published by %d calls, want one each %v", s.broker.calls, publishPause)
		}
		if s.outbox.marks < 10 || s.outbox.marks > 25 {
			t.Errorf("1000 events within a second were marked by %d calls, want one each 50ms", s.outbox.marks)
		}
		s.wantLeft(t, 0)
	})
}

func TestRelaySweepsWhatACrashLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := new(outbox)
		var want []domain.EventID
		for n := range 1000 {
			o := newOrder(t, n)
			if err := left.Add(t.Context(), o, domain.Origin{}); err != nil {
				t.Fatal(err)
			}
			want = append(want, o.Created().ID)
		}
		s := start(t, left, new(broker))
		s.want(t, 0, 0) // their claims hold: another relay may be publishing them
		time.Sleep(left.ClaimLease() + 2*time.Second)
		s.want(t, 1000, 0)
		if diff := cmp.Diff(want, s.broker.order); diff != "" {
			t.Errorf("events are not published oldest first (-want +got):\n%s", diff)
		}
	})
}

func TestRelaysShareAnOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, b := new(outbox), new(broker)
		first, second := start(t, outbox, b), start(t, outbox, b)
		b.set(ports.ErrUnavailable, false)
		first.add(t, 1, 3000)
		second.add(t, 3001, 6000)
		time.Sleep(5 * time.Minute)
		b.set(nil, false)
		time.Sleep(time.Minute)
		first.want(t, 6000, 0)
	})
}

func TestRelayRetriesMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := new(outbox)
		outbox.onMark = func(context.Context) error {
			if outbox.marks <= 3 {
				return errors.New("unavailable")
			}
			return nil
		}
		s := start(t, outbox, new(broker))
		s.add(t, 1, 1)
		time.Sleep(time.Minute)
		s.want(t, 1, 0)
		s.stop()
		s.wantLeft(t, 0)
	})
}

// The relay claims fewer events from an outbox that can't claim many in time.
func TestRelayWithASlowOutbox(t *testing.T) {
	for _, claim := range []time.Duration{4 * time.Second, 6 * time.Second} {
		t.Run(fmt.Sprint(claim), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := &outbox{onClaim: func(ctx context.Context, limit int) error {
					if limit > 1000 {
						return sleep(ctx, claim)
					}
					return nil
				}}
				addUnclaimed(t, slow, 5000)
				s := start(t, slow, new(broker))
				time.Sleep(time.Minute)
				s.want(t, 5000, 0)
			})
		})
	}
}
