package notification_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

const operator = "ops@example.com"

// pager is the operator's channel.
type pager struct {
	mu   sync.Mutex
	sent []ports.Outgoing                                             // all that was tried
	send func(ctx context.Context, attempt int) (ports.Answer, error) // nil: it accepts
}

func (p *pager) Name() string { return "email" }

func (p *pager) CheckAddress(address string) error {
	if !strings.Contains(address, "@") {
		return errors.New("must be an address like ann@example.com")
	}
	return nil
}

func (p *pager) Receiver(string) string { return "mail.example.com:587" }

func (p *pager) Send(ctx context.Context, message ports.Outgoing) (ports.Answer, error) {
	p.mu.Lock()
	p.sent = append(p.sent, message)
	p.mu.Unlock()
	if p.send == nil {
		return ports.Answer{}, nil
	}
	return p.send(ctx, message.Attempt)
}

// subjects returns what was tried since the last call.
func (p *pager) subjects() (subjects []string) {
	for _, m := range p.take() {
		subjects = append(subjects, strings.TrimPrefix(m.Content.Subject, "orderflow: "))
	}
	return subjects
}

func (p *pager) take() []ports.Outgoing {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := p.sent
	p.sent = nil
	return sent
}

// newAlerts returns alerts that run until the test ends, and their log.
func newAlerts(t *testing.T, p *pager) (*notification.Alerts, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	alerts := must(notification.NewAlerts(p, operator, 0, slog.New(slog.NewTextHandler(&log, nil))))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- alerts.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return alerts, &log
}

func pausedAt(receiver string) notification.Alert {
	return notification.Alert{Kind: notification.Paused, Channel: "webhook", Receiver: receiver, Answer: "503"}
}

// pass lets time pass, and the alerts be sent.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func checkSubjects(t *testing.T, p *pager, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, p.subjects()); diff != "" {
		t.Errorf("%s: alerts (-want +got):\n%s", when, diff)
	}
}

func TestAlertsOneAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pager)
		alerts, _ := newAlerts(t, p)

		alerts.Alert(pausedAt("a"))
		alerts.Alert(pausedAt("a"))
		alerts.Alert(pausedAt("b"))
		alerts.Alert(notification.Alert{Kind: notification.Back, Channel: "webhook", Receiver: "a"})
		alerts.Alert(notification.Alert{Kind: notification.Paused, Channel: "email", Receiver: "a"})
		checkSubjects(t, p, "at once", "receiver paused: webhook, a", "receiver paused: webhook, b", "receiver back: webhook, a", "receiver paused: email, a")

		pass(5 * time.Minute)
		last := pausedAt("a")
		last.Answer = "504"
		alerts.Alert(pausedAt("a"))
		alerts.Alert(last)
		occurred := time.Now()
		pass(9 * time.Minute)
		checkSubjects(t, p, "within the window")

		pass(2 * time.Minute)
		got := p.take()
		if len(got) != 1 {
			t.Fatalf("after the window: %d alerts, want the latest that was left out: %v", len(got), got)
		}
		text := got[0].Content.Text
		for _, want := range []string{"last answer: 504\n", "\n2 more alerts like this one were left out since 2000-01-01T00:00:00Z.\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("the alert has no %q:\n%s", want, text)
			}
		}
		if !got[0].Event.Time.Equal(occurred) {
			t.Errorf("the alert is of %v, want %v, when its cause occurred", got[0].Event.Time, occurred)
		}

		pass(10 * time.Minute)
		alerts.Alert(pausedAt("a"))
		checkSubjects(t, p, "within the second window")
		pass(7 * time.Minute)
		if got := p.take(); len(got) != 1 || strings.Contains(got[0].Content.Text, "left out") {
			t.Errorf("after the second window: got %v, want the alert, and none left out", got)
		}

		pass(time.Hour)
		checkSubjects(t, p, "later")
		alerts.Alert(pausedAt("a"))
		checkSubjects(t, p, "anew", "receiver paused: webhook, a")
	})
}

// However many receivers fail, the operator gets a bounded number of alerts.
func TestAlertsOfManyReceiversShareAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pager)
		alerts, _ := newAlerts(t, p)
		for n := range 1000 {
			alerts.Alert(pausedAt(fmt.Sprint("receiver-", n)))
			synctest.Wait()
		}
		if got := len(p.take()); got != 101 {
			t.Errorf("%d alerts, want 101: 100 receivers, and one for all others", got)
		}
		pass(16 * time.Minute)
		got := p.take()
		if len(got) != 1 || !strings.HasSuffix(got[0].Content.Subject, "receiver-999") || !strings.Contains(got[0].Content.Text, "\n898 more alerts") {
			t.Errorf("after the window: got %v, want one alert, and 898 left out", got)
		}
		pass(time.Hour)
		alerts.Alert(pausedAt("receiver-1"))
		alerts.Alert(pausedAt("receiver-2"))
		checkSubjects(t, p, "when all windows are over", "receiver paused: webhook, receiver-1", "receiver paused: webhook, receiver-2")
	})
}

func TestAlertNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := &pager{send: func(ctx context.Context, _ int) (ports.Answer, error) {
			<-ctx.Done()
			return ports.Answer{}, ports.Postpone(ctx.Err())
		}}
		alerts, log := newAlerts(t, hung)
		start := time.Now()
		for kind := range 3 {
			for n := range 200 {
				alerts.Alert(notification.Alert{Kind: notification.AlertKind(fmt.Sprint("kind ", kind)), Channel: fmt.Sprint(n)})
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("took %v, want no wait", took)
		}
		if !strings.Contains(log.String(), "too many wait") {
			t.Errorf("the log does not say that alerts were left out: %s", log)
		}
	})
}

func TestAlertsAreTriedAgain(t *testing.T) {
	down := ports.Postpone(errors.New("dial tcp: connection refused by ann@example.com"))
	tests := []struct {
		name     string
		send     func(attempt int) error
		after    time.Duration // that the outcome is known by
		attempts [2]int        // least and most
		log      string        // part of it; empty: nothing that says "not sent"
	}{
		{"accepted", func(int) error { return nil }, 0, [2]int{1, 1}, ""},
		{"down for hours", func(attempt int) error {
			if time.Now().Before(time.Date(2000, 1, 1, 3, 0, 0, 0, time.UTC)) {
				return down
			}
			return nil
		}, 4 * time.Hour, [2]int{35, 50}, ""},
		{"down for more than a day", func(int) error { return down }, 25 * time.Hour, [2]int{250, 300}, "alert not sent"},
		{"asks for time", func(attempt int) error {
			if attempt == 1 {
				return ports.RetryAfter(down, time.Minute)
			}
			if got := time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); got < time.Minute {
				return ports.Permanent(fmt.Errorf("tried again after %v", got))
			}
			return nil
		}, 2 * time.Minute, [2]int{2, 2}, ""},
		{"refused for ever", func(int) error { return errors.New("450 try later, ann@example.com") }, time.Hour, [2]int{5, 5}, "attempts=5"},
		{"refused, then accepted", func(attempt int) error {
			if attempt < 5 {
				return errors.New("450 try later")
			}
			return nil
		}, time.Hour, [2]int{5, 5}, ""},
		{"rejected", func(int) error { return ports.Permanent(errors.New("550 no such user ann@example.com")) }, 0, [2]int{1, 1}, "attempts=1"},
		{"panic", func(int) error { panic("a bug") }, 0, [2]int{1, 1}, "a bug"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pager{send: func(_ context.Context, attempt int) (ports.Answer, error) { return ports.Answer{}, tt.send(attempt) }}
				alerts, log := newAlerts(t, p)
				alerts.Alert(pausedAt("a"))
				pass(tt.after)
				got := p.take()
				if len(got) < tt.attempts[0] || len(got) > tt.attempts[1] {
					t.Errorf("%d attempts, want %d to %d", len(got), tt.attempts[0], tt.attempts[1])
				}
				for i, m := range got {
					if m.Attempt != i+1 || m.ID != got[0].ID || !strings.HasPrefix(m.ID, "alert-") || m.Address != operator {
						t.Errorf("attempt %d: number %d, id %s to %s, want the same alert", i+1, m.Attempt, m.ID, m.Address)
					}
				}
				pass(48 * time.Hour)
				if again := len(p.take()); again > 0 {
					t.Errorf("%d more attempts, want none", again)
				}
				logged := log.String()
				if strings.Contains(logged, "not sent") != (tt.log != "") || !strings.Contains(logged, tt.log) {
					t.Errorf("log, want %q in it:\n%s", tt.log, logged)
				}
				if strings.Contains(logged, "ann@") || strings.Contains(logged, operator) {
					t.Errorf("the log shows an address:\n%s", logged)
				}
			})
		})
	}
}

// Alerts that wait when the service stops are tried once more, in a bounded time.
func TestAlertsStop(t *testing.T) {
	tests := []struct {
		name  string
		send  func(ctx context.Context, attempt int) (ports.Answer, error)
		takes time.Duration
		sent  []string
	}{
		{"the receiver is back", func(_ context.Context, attempt int) (ports.Answer, error) {
			if attempt == 1 && time.Now().Before(time.Date(2000, 1, 1, 0, 0, 1, 0, time.UTC)) {
				return ports.Answer{}, ports.Postpone(errors.New("down"))
			}
			return ports.Answer{}, nil
		}, 0, []string{"a", "a", "b", "c"}},
		{"the receiver hangs", func(ctx context.Context, _ int) (ports.Answer, error) {
			<-ctx.Done()
			return ports.Answer{}, ports.Postpone(ctx.Err())
		}, 3 * time.Second, []string{"a", "b", "c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pager{send: tt.send}
				alerts := must(notification.NewAlerts(p, operator, 0, slog.New(slog.DiscardHandler)))
				ctx, stop := context.WithCancel(t.Context())
				for _, receiver := range []string{"a", "b", "c"} {
					alerts.Alert(pausedAt(receiver))
				}
				done := make(chan error)
				go func() { done <- alerts.Run(ctx) }()
				pass(time.Second)
				stop()
				stopped := time.Now()
				if err := <-done; err != nil {
					t.Errorf("Run: %v", err)
				}
				if took := time.Since(stopped); took != tt.takes {
					t.Errorf("Run ended %v after its context, want %v", took, tt.takes)
				}
				var sent []string
				for _, s := range p.subjects() {
					sent = append(sent, s[len(s)-1:])
				}
				if !slices.Equal(sent, tt.sent) {
					t.Errorf("tried %v, want %v", sent, tt.sent)
				}
				if err := alerts.Run(t.Context()); err == nil {
					t.Error("the second Run returned nil")
				}
			})
		})
	}
}

// The golden files are the alerts as the operator reads them.
func TestAlertTexts(t *testing.T) {
	since := time.Date(1999, 12, 31, 22, 30, 0, 0, time.FixedZone("", 3600))
	tests := map[string]notification.Alert{
		"given-up.txt": {
			Kind: notification.GivenUp, Channel: "email", Receiver: "mail.example.com:587",
			EventID: "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234-created", OrderID: "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", Recipient: "user", Attempts: 14,
			Answer: "send: 550 5.1.1 <ann.lee@example.com>:\r\nno such user", Since: since, Notifications: 1,
		},
		"paused.txt": {
			Kind: notification.Paused, Channel: "webhook", Receiver: "hooks.example.com#1a2b3c4d", EventID: "e", OrderID: "o", Recipient: "warehouse",
			Answer: "it answered 503: see https://hooks.example.com/s3cret " + strings.Repeat("x", 2000), Since: since,
		},
		"back.txt":    {Kind: notification.Back, Channel: "webhook", Receiver: "hooks.example.com#1a2b3c4d", Answer: "it answered 503", Since: since},
		"stuck.txt":   {Kind: notification.Stuck, Channel: "email\r\nBcc: x", Receiver: strings.Repeat("x", 300), Answer: "paused by ann", Since: since, Notifications: 42},
		"unknown.txt": {Kind: "on fire", Channel: "email"},
	}
	for name, alert := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := new(pager)
				alerts, _ := newAlerts(t, p)
				alerts.Alert(alert)
				synctest.Wait()
				sent := p.take()
				if len(sent) != 1 {
					t.Fatalf("%d alerts, want 1", len(sent))
				}
				content := sent[0].Content
				got := content.Subject + "\n\n" + content.Text
				file := filepath.Join("testdata", "alerts", name)
				if *update {
					if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o777), os.WriteFile(file, []byte(got), 0o666)); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("alert (-want +got; -update rewrites the golden file):\n%s", diff)
				}
			})
		})
	}
}

func TestNewAlertsChecksItsArguments(t *testing.T) {
	tests := []struct {
		name    string
		channel ports.Channel
		address string
		window  time.Duration
		want    string
	}{
		{"no channel", nil, operator, 0, "needs a channel"},
		{"nil channel", (*pager)(nil), operator, 0, "needs a channel"},
		{"wrong address", new(pager), "ops", 0, "must be an address like"},
		{"negative window", new(pager), operator, -1, "negative"},
	}
	for _, tt := range tests {
		if _, err := notification.NewAlerts(tt.channel, tt.address, tt.window, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in the error", tt.name, err, tt.want)
		}
	}
}
