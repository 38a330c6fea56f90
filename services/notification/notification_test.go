package notification_test

import (
	"bytes"
	"context"
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

var discard = slog.New(slog.DiscardHandler)

func newEvent(t testing.TB) domain.Event {
	t.Helper()
	o, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", "Laptop", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return o.Created()
}

// channel counts the notifications that it sends, and fails with a test's errors.
type channel struct {
	name string
	mu   sync.Mutex
	errs []error // of the next sends; sends after those succeed
	sent int
	took time.Duration // duration of a send
}

func (c *channel) Name() string { return c.name }

func (c *channel) Send(context.Context, domain.Event) error {
	time.Sleep(c.took)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.errs) > 0 {
		err := c.errs[0]
		c.errs = c.errs[1:]
		return err
	}
	c.sent++
	return nil
}

func TestHandleSendsOncePerChannel(t *testing.T) {
	event := newEvent(t)
	log, mail := &channel{name: "log"}, &channel{name: "mail"}
	s := must(notification.NewService(new(memory.Deliveries), discard, log, mail))
	for attempt := 1; attempt <= 3; attempt++ {
		if err := s.Handle(t.Context(), ports.Delivery{Event: event, Attempt: attempt}); err != nil {
			t.Fatal(err)
		}
	}
	if log.sent != 1 || mail.sent != 1 {
		t.Errorf("sent %d and %d times, want once each", log.sent, mail.sent)
	}
	list, err := s.Sent(t.Context(), event.Order.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := list.Notifications
	for i := range got {
		if d := time.Since(got[i].SentAt); d < 0 || d > time.Minute {
			t.Errorf("sent at %v, want now", got[i].SentAt)
		}
		got[i].SentAt = time.Time{}
	}
	want := []domain.Notification{
		{EventID: event.ID, OrderID: event.Order.ID, Channel: "log", Attempt: 1},
		{EventID: event.ID, OrderID: event.Order.ID, Channel: "mail", Attempt: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestHandleFailures(t *testing.T) {
	busy, gone := errors.New("busy"), ports.Permanent(errors.New("no such address"))
	tests := []struct {
		name      string
		log, mail []error
		want      []string // parts of the error; nil: no error
		permanent bool
		logSent   int
		mailSent  int
	}{
		{"no failure", nil, nil, nil, false, 1, 1},
		{"one busy", []error{busy}, nil, []string{"busy (channel log, send)"}, false, 0, 1},
		{"one gone", nil, []error{gone}, []string{"no such address (channel mail, send)"}, true, 1, 0},
		{"both gone", []error{gone}, []error{gone}, []string{"no such address (channel log, send)", "no such address (channel mail, send)"}, true, 0, 0},
		{"one busy, one gone", []error{busy}, []error{gone}, []string{"busy", "no such address"}, false, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log, mail := &channel{name: "log", errs: tt.log}, &channel{name: "mail", errs: tt.mail}
			s := must(notification.NewService(new(memory.Deliveries), discard, log, mail))
			err := s.Handle(t.Context(), ports.Delivery{Event: newEvent(t), Attempt: 1})
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("got error %v, want %q", err, tt.want)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got error %q, want it to contain %q", err, part)
				}
			}
			if ports.IsPermanent(err) != tt.permanent {
				t.Errorf("permanent: %v, want %v", !tt.permanent, tt.permanent)
			}
			if log.sent != tt.logSent || mail.sent != tt.mailSent {
				t.Errorf("sent %d and %d, want %d and %d", log.sent, mail.sent, tt.logSent, tt.mailSent)
			}
		})
	}
}

func TestHandleRetriesOnlyFailedChannels(t *testing.T) {
	event := newEvent(t)
	log, mail := &channel{name: "log"}, &channel{name: "mail", errs: []error{errors.New("busy")}}
	s := must(notification.NewService(new(memory.Deliveries), discard, log, mail))
	if err := s.Handle(t.Context(), ports.Delivery{Event: event, Attempt: 1}); err == nil {
		t.Fatal("no error from a channel that failed")
	}
	if err := s.Handle(t.Context(), ports.Delivery{Event: event, Attempt: 2}); err != nil {
		t.Fatalf("second attempt: %v", err)
	}
	if log.sent != 1 || mail.sent != 1 {
		t.Errorf("sent %d and %d times, want once each", log.sent, mail.sent)
	}
	list, err := s.Sent(t.Context(), event.Order.ID)
	if sent := list.Notifications; err != nil || len(sent) != 2 || sent[0].Attempt != 1 || sent[1].Attempt != 2 {
		t.Errorf("recorded %+v, %v; want attempts 1 and 2", sent, err)
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
				s := must(notification.NewService(deliveries, discard, slow))
				errs[i] = s.Handle(t.Context(), ports.Delivery{Event: event, Attempt: 1})
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
		if _, err := deliveries.Claim(t.Context(), event.ID, "log"); err != nil { // by a notifier that dies
			t.Fatal(err)
		}
		var log bytes.Buffer
		s := must(notification.NewService(deliveries, slog.New(slog.NewTextHandler(&log, nil)), &channel{name: "log"}))
		for range 100 { // almost two minutes
			if err := s.Handle(t.Context(), ports.Delivery{Event: event, Attempt: 1}); !errors.Is(err, ports.ErrClaimed) {
				t.Errorf("got %v, want ErrClaimed", err)
			}
			time.Sleep(1100 * time.Millisecond)
		}
		if got := strings.Count(log.String(), "events wait for another notifier's claims"); got != 2 || strings.Count(log.String(), "\n") != 2 {
			t.Errorf("logged, want two lines:\n%s", log.String())
		}
	})
}

// The first channel waits for another notifier's claim. The second channel's failures
// still count.
func TestHandleJoinsErrors(t *testing.T) {
	busy, gone := errors.New("busy"), ports.Permanent(errors.New("gone"))
	tests := []struct {
		name                 string
		mail                 []error
		postponed, permanent bool
	}{
		{"only claimed", nil, true, false},
		{"claimed and busy", []error{busy}, false, false},
		{"claimed and gone", []error{gone}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			event, deliveries := newEvent(t), new(memory.Deliveries)
			if _, err := deliveries.Claim(t.Context(), event.ID, "log"); err != nil { // another notifier
				t.Fatal(err)
			}
			s := must(notification.NewService(deliveries, discard, &channel{name: "log"}, &channel{name: "mail", errs: tt.mail}))
			err := s.Handle(t.Context(), ports.Delivery{Event: event, Attempt: 1})
			if err == nil || ports.IsPostponed(err) != tt.postponed || ports.IsPermanent(err) != tt.permanent {
				t.Errorf("got %v; postponed %v, permanent %v", err, ports.IsPostponed(err), ports.IsPermanent(err))
			}
		})
	}
}
