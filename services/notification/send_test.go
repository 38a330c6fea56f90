package notification_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// verbose is a channel whose receiver answers too much.
type verbose struct{ *post }

func (v verbose) Send(ctx context.Context, m ports.Outgoing) (ports.Answer, error) {
	_, err := v.post.Send(ctx, m)
	return ports.Answer{Code: strings.Repeat("5", 1000), Text: strings.Repeat("ä\xff\x00", 10_000)}, err
}

// Attempts are bounded, in number and in length.
func TestAttemptsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		r := w.route(verbose{mail})
		r.Schedule.Base, r.Schedule.Factor, r.Schedule.Cap, r.Schedule.Horizon = time.Second, 1, time.Second, 2*time.Hour
		w.start(r)
		mail.fail(errors.New(strings.Repeat("busy \xff", 10_000)))
		w.order(1)
		time.Sleep(time.Hour)
		n := w.one("mail")
		if n.Attempt <= domain.MaxAttempts || len(n.Attempts) != domain.MaxAttempts || n.Attempts[19].At.Before(n.Attempts[18].At) {
			t.Errorf("attempt %d, %d attempts are kept", n.Attempt, len(n.Attempts))
		}
		for _, a := range n.Attempts {
			if len(a.Answer) > domain.MaxAnswer || len(a.Answer) < domain.MaxAnswer-4 || !utf8.ValidString(a.Answer) || strings.Contains(a.Answer, "\x00") || len(a.Code) > 64 {
				t.Fatalf("kept code %q and an answer of %d bytes: %q", a.Code, len(a.Answer), a.Answer)
			}
		}
		if len(n.Reason) > domain.MaxAnswer || !utf8.ValidString(n.Reason) {
			t.Errorf("the reason has %d bytes", len(n.Reason))
		}
	})
}

type rendererFunc func(event domain.Event, language string) (ports.Content, error)

func (f rendererFunc) Render(event domain.Event, language string, test bool) (ports.Content, error) {
	if test {
		return ports.Content{}, errors.New("a test")
	}
	return f(event, language)
}

// The text is rendered in the user's language. An event of which no text can be made is
// a dead letter, and so is one at which the renderer or the channel panics.
func TestRendering(t *testing.T) {
	tests := []struct {
		name   string
		render rendererFunc
		send   func(ports.Outgoing) error
		want   string // in the reason; empty: sent
	}{
		{"rendered", func(e domain.Event, language string) (ports.Content, error) {
			return ports.Content{Language: language, Subject: e.Order.Product}, nil
		}, func(m ports.Outgoing) error {
			if diff := cmp.Diff(ports.Content{Language: "de", Subject: "Laptop"}, m.Content); diff != "" || m.Test {
				return errors.New(diff)
			}
			return nil
		}, ""},
		{"error", func(domain.Event, string) (ports.Content, error) { return ports.Content{}, errors.New("no such field") }, nil, "render the text: no such field"},
		{"panic", func(domain.Event, string) (ports.Content, error) { panic("nil map") }, nil, "panicked: nil map"},
		{"channel panics", func(domain.Event, string) (ports.Content, error) { return ports.Content{}, nil }, func(ports.Outgoing) error { panic("nil map") }, "panicked: nil map"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, mail := newWorld(t), &addressed{post{name: "mail"}}
				mail.set(tt.send)
				if err := w.store.Contacts().Put(t.Context(), ports.Contact{UserID: "ann", Language: "de", Addresses: map[string]string{"mail": "ann@example.com"}}); err != nil {
					t.Fatal(err)
				}
				r := w.route(mail)
				r.ToUsers, r.Renderer = true, tt.render
				w.start(r)
				w.order(1)
				time.Sleep(time.Second)
				n := w.one("mail")
				if tt.want == "" && n.State != domain.Sent || tt.want != "" && (n.State != domain.Dead || !strings.Contains(n.Reason, tt.want)) {
					t.Errorf("recorded %+v", n)
				}
				if logged := strings.Contains(w.log.String(), "goroutine "); strings.Contains(n.Reason+n.Attempts[0].Answer, "goroutine") || logged != strings.Contains(tt.want, "panicked") {
					t.Errorf("the stack of a panic must be in the log alone; recorded %+v, logged:\n%s", n, w.log.String())
				}
				if letters := w.broker.DeadLetters(); (tt.want != "") != (len(letters) == 1) {
					t.Errorf("%d dead letters", len(letters))
				}
			})
		})
	}
}

// A panic outside of the channel leaves a dead notification, too, beside its dead letter:
// that of a new event, and that of one that is tried again.
func TestPanicIsRecorded(t *testing.T) {
	for _, later := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, mail := newWorld(t), &panicking{addressed: addressed{post{name: "mail"}}}
			mail.panics.Store(!later)
			mail.set(func(ports.Outgoing) error { return errors.New("greylisted") })
			if err := w.store.Contacts().Put(t.Context(), ports.Contact{UserID: "ann", Addresses: map[string]string{"mail": "ann@example.com"}}); err != nil {
				t.Fatal(err)
			}
			r := w.route(mail)
			r.ToUsers, r.Endpoints = true, []notification.Endpoint{{Name: "warehouse", Address: "warehouse@example.com"}}
			w.start(r)
			w.order(1)
			time.Sleep(time.Second)
			mail.panics.Store(true)
			time.Sleep(10 * time.Minute)
			list, err := w.store.Deliveries().List(t.Context(), ports.NotificationQuery{Limit: 10})
			if err != nil || len(list.Notifications) != 2 {
				t.Fatalf("%d notifications, error %v; want 2", len(list.Notifications), err)
			}
			for _, n := range list.Notifications {
				if n.State != domain.Dead || !strings.Contains(n.Reason, "panicked: nil map") {
					t.Errorf("later %v: recorded %+v", later, n)
				}
			}
			if letters := w.broker.DeadLetters(); len(letters) == 0 || strings.Contains(letters[0].Failure.Reason, "goroutine") {
				t.Errorf("dead letters: %+v", letters)
			}
		})
	}
}

// panicking is a channel that panics at an address.
type panicking struct {
	addressed
	panics atomic.Bool
}

func (c *panicking) Receiver(address string) string {
	if c.panics.Load() {
		panic("nil map")
	}
	return c.addressed.Receiver(address)
}

// Addresses of people stand in the attempts, for operators, and in no log, dead letter
// or alert.
func TestAddressesAreMasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &addressed{post{name: "mail"}}
		if err := w.store.Contacts().Put(t.Context(), ports.Contact{UserID: "ann", Addresses: map[string]string{"mail": "ann.lee@example.com"}}); err != nil {
			t.Fatal(err)
		}
		r := w.route(mail)
		r.ToUsers = true
		w.start(r)
		says := errors.New("550 5.1.1 <ann.lee@example.com>: user unknown")
		for _, err := range []error{says, ports.Postpone(says), ports.Permanent(says), ports.Gone(says)} {
			mail.fail(err)
			w.order(3)
			time.Sleep(10 * time.Second)
		}
		mail.fail(ports.Permanent(says))
		time.Sleep(2 * time.Hour)
		if w.log.String() == "" || strings.Contains(w.log.String(), "ann.lee@") {
			t.Errorf("logged:\n%s", w.log.String())
		}
		letters := w.broker.DeadLetters()
		if len(letters) == 0 {
			t.Error("no dead letters")
		}
		for _, letter := range letters {
			if reason := letter.Failure.Reason; strings.Contains(reason, "ann.lee@") || !strings.Contains(reason, "a…@example.com") {
				t.Errorf("dead letter: %s", reason)
			}
		}
		for _, a := range w.alerts.list() {
			if strings.Contains(a.Answer, "ann.lee@") {
				t.Errorf("alert: %+v", a)
			}
		}
		for _, n := range w.list("mail") {
			if strings.Contains(n.Reason, "ann.lee@") || len(n.Attempts) > 0 && !strings.Contains(n.Attempts[0].Answer, "ann.lee@") {
				t.Errorf("recorded %+v", n)
			}
		}
	})
}

// What is given up waits for the dead-letter queue, without another try.
func TestDeadLetterQueueIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		parts := w.parts()
		letters := &brokenLetters{DeadLetterQueue: parts.DeadLetters}
		letters.down.Store(true)
		parts.DeadLetters = letters
		w.startWith(parts, w.route(mail))
		mail.fail(errors.New("busy"))
		w.order(1)
		time.Sleep(2 * time.Hour)
		n := w.one("mail")
		if n.State != domain.Retrying || n.Attempt != 5 || mail.tried() != 5 {
			t.Errorf("tried %d times; recorded %+v", mail.tried(), n)
		}
		if lines := strings.Count(w.log.String(), "dead letters can't be set aside"); lines < 1 || lines > 120 {
			t.Errorf("logged %d lines about the outage", lines)
		}
		letters.down.Store(false)
		time.Sleep(2 * time.Minute)
		if n := w.one("mail"); n.State != domain.Dead || len(w.broker.DeadLetters()) != 1 || mail.tried() != 5 {
			t.Errorf("afterwards: %+v, %d tries", n, mail.tried())
		}
	})
}

type brokenLetters struct {
	ports.DeadLetterQueue
	down atomic.Bool
}

func (l *brokenLetters) SetAside(ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
	if l.down.Load() {
		return ports.ErrUnavailable
	}
	return l.DeadLetterQueue.SetAside(ctx, subscription, event, failure)
}

// While the store is unavailable, nothing is lost, and the log has a line a minute for
// each kind of call.
func TestStoreIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		parts := w.parts()
		states := &brokenStates{ChannelStates: parts.States}
		log := &brokenLog{DeliveryLog: parts.Deliveries}
		parts.States, parts.Deliveries = states, log
		states.down.Store(true)
		w.startWith(parts, w.route(mail))
		if _, err := w.broker.Subscription("mail").Depth(t.Context()); err == nil {
			t.Error("events are consumed before the pauses were read")
		}
		time.Sleep(time.Minute)
		states.down.Store(false)
		time.Sleep(5 * time.Second)
		events := w.order(10)
		synctest.Wait()
		mail.checkOnce(t, events)

		states.down.Store(true)
		log.down.Store(true)
		events = append(events, w.order(10)...)
		time.Sleep(10 * time.Minute)
		states.down.Store(false)
		log.down.Store(false)
		time.Sleep(time.Minute)
		mail.checkOnce(t, events)
		if lines := strings.Count(w.log.String(), "\n"); lines > 60 {
			t.Errorf("logged %d lines:\n%s", lines, w.log.String())
		}
	})
}

type brokenStates struct {
	ports.ChannelStates
	down atomic.Bool
}

func (s *brokenStates) Pauses(ctx context.Context) ([]ports.Pause, error) {
	if s.down.Load() {
		return nil, ports.ErrUnavailable
	}
	return s.ChannelStates.Pauses(ctx)
}

type brokenLog struct {
	ports.DeliveryLog
	down atomic.Bool
}

func (l *brokenLog) Claim(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
	if l.down.Load() {
		return nil, ports.ErrUnavailable
	}
	return l.DeliveryLog.Claim(ctx, key)
}

func (l *brokenLog) ClaimDue(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
	if l.down.Load() {
		return nil, ports.ErrUnavailable
	}
	return l.DeliveryLog.ClaimDue(ctx, channel, limit)
}
