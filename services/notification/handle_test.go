package notification_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

func TestHandleSendsOncePerChannel(t *testing.T) {
	event := newEvent(t)
	log, mail := &channel{name: "log"}, &channel{name: "mail"}
	deliveries := new(memory.Deliveries)
	s := must(notification.NewService(partsOf(deliveries, discard), notification.Route{Channel: log}, notification.Route{Channel: mail}))
	for attempt := 1; attempt <= 3; attempt++ {
		for _, name := range []string{"log", "mail"} {
			if err := s.Handler(name)(t.Context(), ports.Delivery{Event: event, Attempt: attempt}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if log.sent != 1 || mail.sent != 1 {
		t.Errorf("sent %d and %d times, want once each", log.sent, mail.sent)
	}
	list, err := deliveries.List(t.Context(), ports.NotificationQuery{OrderID: event.Order.ID, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	got := list.Notifications
	for i := range got {
		n := &got[i]
		if d := time.Since(n.At); d < 0 || d > time.Minute || len(n.Attempts) != 1 || n.Attempts[0].At != n.First {
			t.Errorf("sent %+v, want one attempt, now", n)
		}
		n.At, n.First, n.Attempts = time.Time{}, time.Time{}, nil
	}
	of := func(channel string) domain.Notification {
		return domain.Notification{EventID: event.ID, OrderID: event.Order.ID, UserID: "123", Channel: channel, State: domain.Sent, Attempt: 1}
	}
	if diff := cmp.Diff([]domain.Notification{of("log"), of("mail")}, got); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if s.Handler("sms") != nil {
		t.Error("a handler of an unknown channel")
	}
}

// What the receiver may still accept waits in the log; only what it never accepts is the
// handler's error.
func TestHandleFailures(t *testing.T) {
	busy, gone, away := errors.New("busy"), ports.Permanent(errors.New("no such address ann@example.com")), ports.Postpone(errors.New("away"))
	tests := []struct {
		name     string
		err      error
		want     string // the handler's error
		state    domain.NotificationState
		attempts int // that count
		outcome  domain.Outcome
	}{
		{"none", nil, "", domain.Sent, 1, domain.Accepted},
		{"busy", busy, "", domain.Retrying, 1, domain.Refused},
		{"away", away, "", domain.Retrying, 0, domain.Unreachable},
		{"rejected", gone, "no such address a…@example.com (channel mail, send)", domain.Dead, 1, domain.Rejected},
		{"gone", ports.Gone(errors.New("stop")), "stop (channel mail, send)", domain.Dead, 1, domain.Rejected},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			event, deliveries := newEvent(t), new(memory.Deliveries)
			handle := handlerOf(deliveries, discard, &channel{name: "mail", errs: []error{tt.err}})
			err := handle(t.Context(), ports.Delivery{Event: event, Attempt: 1})
			if (err == nil) != (tt.want == "") || err != nil && (err.Error() != tt.want || !ports.IsPermanent(err)) {
				t.Errorf("got error %v, want %q, permanent", err, tt.want)
			}
			list, err := deliveries.List(t.Context(), ports.NotificationQuery{OrderID: event.Order.ID, Limit: 10})
			if err != nil || len(list.Notifications) != 1 {
				t.Fatalf("recorded %+v, %v", list, err)
			}
			n := list.Notifications[0]
			if n.State != tt.state || n.Attempt != tt.attempts || len(n.Attempts) != 1 || n.Attempts[0].Outcome != tt.outcome {
				t.Errorf("recorded %+v", n)
			}
			if n.State.Waits() != n.NextTry.After(time.Now()) || (n.Reason == "") != (tt.err == nil) || strings.Contains(n.Reason, "ann@") {
				t.Errorf("recorded %+v; a next try while it waits, and a reason unless it is sent", n)
			}
		})
	}
}

func TestConcurrentHandlesSendOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		event := newEvent(t)
		deliveries := new(memory.Deliveries)
		slow := &channel{name: "log", took: 10 * time.Second}
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs { // one notifier each, with the same event
			wg.Go(func() {
				errs[i] = handlerOf(deliveries, discard, slow)(t.Context(), ports.Delivery{Event: event, Attempt: 1})
			})
		}
		wg.Wait()
		claimed := 0
		for _, err := range errs {
			if errors.Is(err, ports.ErrClaimed) && ports.IsPostponed(err) {
				claimed++
			} else if err != nil {
				t.Error(err)
			}
		}
		if slow.sent != 1 || claimed != len(errs)-1 {
			t.Errorf("sent %d times, %d calls found the claim taken; want 1 and %d", slow.sent, claimed, len(errs)-1)
		}
	})
}

// While events wait for another notifier's claims, the service logs a line a minute.
func TestHandleLogsClaimsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		event, deliveries := newEvent(t), &memory.Deliveries{Lease: time.Hour}
		if _, err := deliveries.Claim(t.Context(), domain.NotificationKey{EventID: event.ID, Channel: "log"}); err != nil { // by a notifier that dies
			t.Fatal(err)
		}
		var log bytes.Buffer
		handle := handlerOf(deliveries, slog.New(slog.NewTextHandler(&log, nil)), &channel{name: "log"})
		for range 100 { // almost two minutes
			if err := handle(t.Context(), ports.Delivery{Event: event, Attempt: 1}); !errors.Is(err, ports.ErrClaimed) {
				t.Errorf("got %v, want ErrClaimed", err)
			}
			time.Sleep(1100 * time.Millisecond)
		}
		if got := strings.Count(log.String(), "events wait for another notifier's claims"); got != 2 || strings.Count(log.String(), "\n") != 2 {
			t.Errorf("logged, want two lines:\n%s", log.String())
		}
	})
}
