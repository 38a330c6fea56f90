package notification_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
)

func keyOf(event domain.Event, channel string) domain.NotificationKey {
	return domain.NotificationKey{EventID: event.ID, Channel: channel}
}

func TestHandleRetriesRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		event := newEvent(t)
		unavailable := fmt.Errorf("record: %w", ports.ErrUnavailable)
		ctrl := gomock.NewController(t)
		claim := mocks.NewMockDeliveryClaim(ctrl)
		log := newLog(ctrl)
		log.EXPECT().Claim(gomock.Any(), keyOf(event, "log")).Return(claim, nil)
		gomock.InOrder(
			claim.EXPECT().Record(gomock.Any(), gomock.Any(), gomock.Any()).Return(unavailable).Times(5),
			claim.EXPECT().Record(gomock.Any(), gomock.Any(), gomock.Any()).Return(nil),
		)
		c := &channel{name: "log"}
		handle := handlerOf(log, discard, c)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := handle(ctx, ports.Delivery{Event: event, Attempt: 1}); err != nil {
			t.Error(err)
		}
		if c.sent != 1 {
			t.Errorf("sent %d times", c.sent)
		}
	})
}

// Handle retries errors of the log, which cost no attempt. An error about the event's
// own record is permanent.
func TestHandleWhileLogFails(t *testing.T) {
	event := newEvent(t)
	refused := errors.New("not authorized")
	unreadable := ports.Permanent(&ports.UnreadableError{ID: string(event.ID), Field: "attempt", Reason: "is missing"})
	for _, tt := range []struct {
		err       error
		sent      bool
		permanent bool
	}{
		{refused, false, false},
		{refused, true, false},
		{fmt.Errorf("claim: %w", ports.ErrUnavailable), false, false},
		{fmt.Errorf("record: %w", ports.ErrUnavailable), true, false},
		{unreadable, false, true},
		{unreadable, true, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctrl := gomock.NewController(t)
			deliveries := newLog(ctrl)
			least := 10 // within the handler's time
			if tt.permanent {
				least = 1
			}
			var calls int
			broken := func() error { calls++; return tt.err }
			if tt.sent {
				claim := mocks.NewMockDeliveryClaim(ctrl)
				claim.EXPECT().Record(gomock.Any(), gomock.Any(), gomock.Any()).DoAndReturn(func(context.Context, domain.Notification, domain.Event) error { return broken() }).AnyTimes()
				deliveries.EXPECT().Claim(gomock.Any(), keyOf(event, "log")).Return(claim, nil)
			} else {
				deliveries.EXPECT().Claim(gomock.Any(), keyOf(event, "log")).DoAndReturn(func(context.Context, domain.NotificationKey) (ports.DeliveryClaim, error) {
					return nil, broken()
				}).AnyTimes()
			}
			c := &channel{name: "log"}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			err := handlerOf(deliveries, discard, c)(ctx, ports.Delivery{Event: event, Attempt: 1})
			if !errors.Is(err, tt.err) || ports.IsPermanent(err) != tt.permanent || ports.IsPostponed(err) == tt.permanent {
				t.Errorf("%v, sent %v: got %v; postponed %v, permanent %v", tt.err, tt.sent, err, ports.IsPostponed(err), ports.IsPermanent(err))
			}
			if calls < least || tt.permanent && calls > 1 || tt.sent != (c.sent == 1) {
				t.Errorf("%v, sent %v: called the log %d times, sent %d times", tt.err, tt.sent, calls, c.sent)
			}
		})
	}
}

// A handler whose context ends costs no attempt, and its claim is released.
func TestHandleWhenContextEnds(t *testing.T) {
	for name, sending := range map[string]time.Duration{"before sending": 0, "while sending": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				event, deliveries := newEvent(t), new(memory.Deliveries)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				claiming := hookedLog{deliveries, func() {
					if sending == 0 {
						cancel()
					}
				}}
				err := handlerOf(claiming, discard, slow(sending))(ctx, ports.Delivery{Event: event, Attempt: 1})
				if !ports.IsPostponed(err) || ports.IsPermanent(err) {
					t.Errorf("got %v, want it postponed", err)
				}
				if _, err := deliveries.Claim(t.Context(), keyOf(event, "slow")); err != nil {
					t.Errorf("claim afterwards: %v, want it released", err)
				}
			})
		})
	}
}

// A receiver that takes too long can't be reached. There is time left to record that.
func TestHandleWhileReceiverHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		event, deliveries := newEvent(t), new(memory.Deliveries)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := handlerOf(deliveries, discard, slow(time.Minute))(ctx, ports.Delivery{Event: event, Attempt: 1}); err != nil {
			t.Fatal(err)
		}
		page, err := deliveries.List(t.Context(), ports.NotificationQuery{OrderID: event.Order.ID})
		if err != nil || len(page.Notifications) != 1 {
			t.Fatalf("recorded %+v, %v", page, err)
		}
		n := page.Notifications[0]
		if n.State != domain.Retrying || n.Attempt != 0 || n.Attempts[0].Outcome != domain.Unreachable || n.Attempts[0].Duration != 20*time.Second {
			t.Errorf("recorded %+v", n)
		}
	})
}

// slow sends within the time, unless its context ends before.
func slow(sending time.Duration) sendFunc {
	return func(ctx context.Context) error {
		select {
		case <-time.After(sending):
		case <-ctx.Done():
		}
		return ctx.Err()
	}
}

type sendFunc func(context.Context) error

func (sendFunc) Name() string { return "slow" }

func (f sendFunc) Send(ctx context.Context, _ ports.Outgoing) (ports.Answer, error) {
	return ports.Answer{}, f(ctx)
}

// hookedLog calls afterClaim after each claim.
type hookedLog struct {
	ports.DeliveryLog
	afterClaim func()
}

func (l hookedLog) Claim(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
	claim, err := l.DeliveryLog.Claim(ctx, key)
	l.afterClaim()
	return claim, err
}

// While the log is unavailable, Handle sends nothing, costs no attempt, and logs a
// line a minute.
func TestHandleWhileLogIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		event := newEvent(t)
		unavailable := fmt.Errorf("claim: %w", ports.ErrUnavailable)
		deliveries := newLog(gomock.NewController(t))
		deliveries.EXPECT().Claim(gomock.Any(), keyOf(event, "log")).Return(nil, unavailable).MinTimes(10)
		c := &channel{name: "log"}
		var log bytes.Buffer
		handle := handlerOf(deliveries, slog.New(slog.NewTextHandler(&log, nil)), c)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			began := time.Now()
			err := handle(ctx, ports.Delivery{Event: event, Attempt: 1})
			cancel()
			if !ports.IsPostponed(err) || ports.IsPermanent(err) {
				t.Errorf("got %v, want it postponed", err)
			}
			if d := time.Since(began); d != 30*time.Second {
				t.Errorf("gave up after %v, want 30 s", d)
			}
		}
		if c.sent != 0 {
			t.Error("sent without a claim")
		}
		want := "the store is unavailable; notifications wait for it"
		if n := strings.Count(log.String(), "\n"); n != 2 || strings.Count(log.String(), want) != 2 || !strings.Contains(log.String(), "waiting=1") {
			t.Errorf("logged, want a line in each minute:\n%s", log.String())
		}
	})
}

func TestHandleWhenLogIsAvailableAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		event := newEvent(t)
		unavailable := fmt.Errorf("claim: %w", ports.ErrUnavailable)
		ctrl := gomock.NewController(t)
		claim := mocks.NewMockDeliveryClaim(ctrl)
		claim.EXPECT().Record(gomock.Any(), gomock.Any(), gomock.Any()).Return(nil)
		deliveries := newLog(ctrl)
		gomock.InOrder(
			deliveries.EXPECT().Claim(gomock.Any(), keyOf(event, "log")).Return(nil, unavailable).Times(5),
			deliveries.EXPECT().Claim(gomock.Any(), keyOf(event, "log")).Return(claim, nil),
		)
		c := &channel{name: "log"}
		if err := handlerOf(deliveries, discard, c)(t.Context(), ports.Delivery{Event: event, Attempt: 1}); err != nil {
			t.Error(err)
		}
		if c.sent != 1 {
			t.Errorf("sent %d times", c.sent)
		}
	})
}
