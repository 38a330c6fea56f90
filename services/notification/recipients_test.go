package notification_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
)

// Nobody who does not want a notification, or can't get one, makes an error.
func TestSkipped(t *testing.T) {
	ann := func(change func(*ports.Contact)) *ports.Contact {
		c := ports.Contact{UserID: "ann", Language: "de", Addresses: map[string]string{"mail": "ann@example.com"}}
		change(&c)
		return &c
	}
	tests := []struct {
		name    string
		contact *ports.Contact
		types   []domain.EventType
		want    string // the reason; empty: sent
	}{
		{"wanted", ann(func(*ports.Contact) {}), []domain.EventType{"x", domain.OrderCreated}, ""},
		{"no contact", nil, nil, "the user has no contact"},
		{"no address", ann(func(c *ports.Contact) { c.Addresses = map[string]string{"sms": "5"} }), nil, "the user has no address for this channel"},
		{"off", ann(func(c *ports.Contact) { c.Off = []string{"mail"} }), nil, "the user does not want this channel"},
		{"other channel off", ann(func(c *ports.Contact) { c.Off = []string{"sms"} }), nil, ""},
		{"other type", ann(func(*ports.Contact) {}), []domain.EventType{"order.paid"}, "the channel does not send events of type order.created"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, mail := newWorld(t), &addressed{post{name: "mail"}}
				if tt.contact != nil {
					if err := w.store.Contacts().Put(t.Context(), *tt.contact); err != nil {
						t.Fatal(err)
					}
				}
				r := w.route(mail)
				r.ToUsers, r.Types = true, tt.types
				w.start(r)
				w.order(1)
				time.Sleep(time.Minute)
				n := w.one("mail")
				want := domain.Notification{EventID: n.EventID, OrderID: n.OrderID, UserID: "ann", Channel: "mail", Recipient: "user", At: n.At, State: domain.Skipped, Reason: tt.want}
				if tt.want == "" {
					want.State, want.Attempt, want.First, want.Receiver = domain.Sent, 1, n.First, "example.com"
					want.Attempts = []domain.Attempt{{At: n.First, Outcome: domain.Accepted, Code: "200", Answer: "thank you"}}
				}
				if diff := cmp.Diff(want, n); diff != "" {
					t.Errorf("recorded (-want +got):\n%s", diff)
				}
				if letters := w.broker.DeadLetters(); len(letters) != 0 {
					t.Errorf("dead letters: %+v", letters)
				}
				sent := mail.sent()
				if (tt.want == "") != (len(sent) == 1) {
					t.Errorf("sent %v", sent)
				}
				if len(sent) == 1 && (sent[0].address != "ann@example.com" || sent[0].id != string(n.EventID)+".mail.user") {
					t.Errorf("sent %+v", sent[0])
				}
			})
		})
	}
}

// A recipient's failure sends nothing to another twice, and delays no other.
func TestSeveralRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hook := newWorld(t), &addressed{post{name: "hook"}}
		if err := w.store.Contacts().Put(t.Context(), ports.Contact{UserID: "ann", Addresses: map[string]string{"hook": "ann@home"}}); err != nil {
			t.Fatal(err)
		}
		refusals := 3
		hook.set(func(m ports.Outgoing) error {
			switch m.Address {
			case "warehouse@busy":
				if refusals--; refusals >= 0 {
					return errors.New("busy")
				}
			case "billing@strict":
				return ports.Permanent(errors.New("no"))
			case "hanging@slow":
				time.Sleep(19 * time.Second)
			}
			return nil
		})
		r := w.endpoints(hook, "warehouse@busy", "billing@strict", "hanging@slow", "shop@fine")
		r.ToUsers = true
		w.start(r)
		events := w.order(1)
		time.Sleep(time.Second)
		if sent := hook.sent(); len(sent) != 2 {
			t.Errorf("sent at once: %+v; want two, the others fail or are slow", sent)
		}
		time.Sleep(time.Hour)
		var got []string
		for _, s := range hook.sent() {
			got = append(got, s.address)
			if !strings.HasPrefix(s.id, string(events[0].ID)+".hook.") {
				t.Errorf("sent with the id %s", s.id)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"ann@home", "hanging@slow", "shop@fine", "warehouse@busy"}, got); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		if tried := hook.tried(); tried != 3+3+1+1 {
			t.Errorf("tried %d times, want 8", tried)
		}
		letters := w.broker.DeadLetters()
		if len(letters) != 1 || !strings.Contains(letters[0].Failure.Reason, "no (channel hook to billing, send)") {
			t.Fatalf("dead letters: %+v", letters)
		}

		hook.fail(nil) // the replay reaches only the one that was given up
		if err := w.broker.DeadLetterQueue().Replay(t.Context(), letters[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if sent := hook.sent(); len(sent) != 5 || sent[4].address != "billing@strict" {
			t.Errorf("after the replay: %+v", sent)
		}
	})
}

// A claim that another notifier holds makes the whole event come again, before anything
// of it was sent.
func TestOneOfSeveralRecipientsIsClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hook := newWorld(t), &addressed{post{name: "hook"}}
		event := newEvent(t)
		claim, err := w.store.Deliveries().Claim(t.Context(), domain.NotificationKey{EventID: event.ID, Channel: "hook", Recipient: "b"})
		if err != nil {
			t.Fatal(err)
		}
		_, handle := w.handler(w.endpoints(hook, "a@one", "b@two"))
		if err := handle(t.Context(), ports.Delivery{Event: event, Attempt: 1}); !ports.IsPostponed(err) || !errors.Is(err, ports.ErrClaimed) || hook.tried() != 0 {
			t.Errorf("got %v after %d tries", err, hook.tried())
		}
		if err := claim.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := handle(t.Context(), ports.Delivery{Event: event, Attempt: 1}); err != nil || len(hook.sent()) != 2 {
			t.Errorf("then: %v, sent %v", err, hook.sent())
		}
	})
}

// Notifications to an endpoint that was removed, by mistake perhaps, wait for it.
func TestRemovedEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hook := newWorld(t), &addressed{post{name: "hook"}}
		stop := w.start(w.endpoints(hook, "a@one", "b@two"))
		hook.set(func(m ports.Outgoing) error {
			if m.Address == "b@two" {
				return errors.New("busy")
			}
			return nil
		})
		w.order(1)
		time.Sleep(time.Second)
		stop()
		stop = w.start(w.endpoints(hook, "a@one"))
		hook.fail(nil)
		time.Sleep(24 * time.Hour)
		waiting := w.list("hook", domain.Retrying)
		if len(waiting) != 1 || !strings.Contains(waiting[0].Reason, "not configured") || waiting[0].Attempt != 1 {
			t.Errorf("waiting: %+v", waiting)
		}
		stop()
		w.start(w.endpoints(hook, "a@one", "b@two"))
		time.Sleep(2 * time.Hour)
		if sent := hook.sent(); len(sent) != 2 {
			t.Errorf("sent %+v", sent)
		}
	})
}

// A user's new address gets what waits.
func TestUserMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &addressed{post{name: "mail"}}
		put := func(address string) {
			if err := w.store.Contacts().Put(t.Context(), ports.Contact{UserID: "ann", Addresses: map[string]string{"mail": address}}); err != nil {
				t.Fatal(err)
			}
		}
		put("ann@old")
		mail.set(func(m ports.Outgoing) error {
			if m.Address == "ann@old" {
				return errAway
			}
			return nil
		})
		r := w.route(mail)
		r.ToUsers = true
		w.start(r)
		events := w.order(5)
		time.Sleep(time.Minute)
		put("ann@new")
		time.Sleep(2 * time.Hour)
		got := make(map[string]int)
		for _, s := range mail.sent() {
			got[s.address]++
		}
		// Those that the old receiver's pause holds are sent by its probes, and at last by
		// their next try.
		if diff := cmp.Diff(map[string]int{"ann@new": len(events)}, got); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

// A contact that can't be read makes a dead letter, because a person has to mend it.
func TestUnreadableContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &addressed{post{name: "mail"}}
		contacts := mocks.NewMockContacts(gomock.NewController(t))
		contacts.EXPECT().Get(gomock.Any(), "ann").Return(ports.Contact{}, &ports.UnreadableError{ID: "ann", Field: "addresses", Reason: "is a number"})
		parts := w.parts()
		parts.Contacts = contacts
		r := w.route(mail)
		r.ToUsers = true
		w.startWith(parts, r)
		w.order(1)
		time.Sleep(time.Minute)
		if n := w.one("mail"); n.State != domain.Dead || len(w.broker.DeadLetters()) != 1 || mail.tried() != 0 {
			t.Errorf("recorded %+v, %d dead letters", n, len(w.broker.DeadLetters()))
		}
	})
}
