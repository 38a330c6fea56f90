package account_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
)

// trace returns the place of the order's event, and that of its notification by mail.
func (w *world) trace(t *testing.T, n int) (outbox account.Place, mail account.RecipientTrace) {
	t.Helper()
	trace, err := w.office(t).Trace(t.Context(), w.store.Orders(), newOrder(t, n).ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(account.NewTraceView(trace)); err != nil {
		t.Error(err)
	}
	return trace.Outbox, trace.Recipients[0]
}

func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broker.Prefetch = 1
		w.office(t).RunOpening(t.Context(), discard)
		check := func(n int, outbox, place account.Place) account.RecipientTrace {
			t.Helper()
			gotOutbox, mail := w.trace(t, n)
			if diff := cmp.Diff([]account.Place{outbox, place}, []account.Place{gotOutbox, mail.Place}); diff != "" {
				t.Errorf("order %d (-want +got):\n%s", n, diff)
			}
			return mail
		}
		key := func(n int) domain.NotificationKey {
			return domain.NotificationKey{EventID: newOrder(t, n).Created().ID, Channel: "mail", Recipient: domain.UserRecipient}
		}

		if err := w.store.Orders().Add(t.Context(), newOrder(t, 1), domain.Origin{}); err != nil {
			t.Fatal(err)
		}
		check(1, account.Waiting, account.Waiting)
		w.place(t, 2, 1)
		if mail := check(2, account.Published, account.Queued); mail.Queue.Ready != 1 {
			t.Errorf("got %+v, want one event in the queue", mail.Queue)
		}
		w.handle(t, 1, "")
		check(2, account.Published, account.Missing)
		claim, err := w.store.Deliveries().Claim(t.Context(), key(2))
		if err != nil {
			t.Fatal(err)
		}
		if mail := check(2, account.Published, account.InHand); mail.Holder.Until.Before(time.Now()) {
			t.Errorf("got %+v, want a holder", mail)
		}
		pause := ports.Pause{PauseKey: domain.PauseKey{Channel: "mail"}, Kind: ports.Manual, Since: time.Now(), By: "ann"}
		if err := w.store.ChannelStates().Pause(t.Context(), pause); err != nil {
			t.Fatal(err)
		}
		held := domain.Notification{OrderID: newOrder(t, 2).ID, State: domain.Held, HeldBy: pause.PauseKey, At: time.Now(), NextTry: time.Now()}
		if err := claim.Record(t.Context(), held, newOrder(t, 2).Created()); err != nil {
			t.Fatal(err)
		}
		if mail := check(2, account.Published, account.Recorded); mail.Pause == nil || mail.Pause.By != "ann" || mail.Delivered() {
			t.Errorf("got %+v, want one that ann's pause holds", mail)
		}

		w.place(t, 3, 1)
		w.handle(t, 1, "")
		letter := ports.DeadLetter{ID: string(key(3).EventID) + ".mail", Subscription: "mail", Failure: ports.Failure{Reason: "panicked", FirstFailure: time.Now()}}
		if err := w.store.DeadLetters().Put(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
		if mail := check(3, account.Published, account.SetAside); mail.Letter.LatestFailure().Reason != "panicked" {
			t.Errorf("got %+v", mail.Letter)
		}
		w.place(t, 4, 1)
		w.handle(t, 1, domain.Sent)
		if mail := check(4, account.Published, account.Recorded); !mail.Delivered() {
			t.Errorf("got %+v, want a delivered one", mail)
		}
		if _, err := w.office(t).Trace(t.Context(), w.store.Orders(), newOrder(t, 99).ID); !errors.Is(err, ports.ErrNotFound) {
			t.Errorf("an unknown order: error %v", err)
		}

		time.Sleep(time.Second)
		w.parts.Channels[0].Recipients = []string{"warehouse"}
		w.office(t).RunOpening(t.Context(), discard)
		trace, err := w.office(t).Trace(t.Context(), nil, newOrder(t, 4).ID)
		if err != nil || trace.Outbox != account.NotKnown || trace.Recipients[1].Place != account.Earlier || !trace.Recipients[1].Delivered() {
			t.Errorf("got %+v, %v: want nothing for the recipient that was added later", trace, err)
		}
		trace, err = w.office(t).Trace(t.Context(), new(memory.Store).Orders(), newOrder(t, 4).ID)
		if err != nil || trace.Order != nil || trace.Outbox != account.NotKnown || len(trace.Recipients) != 2 {
			t.Errorf("got %+v, %v: want the notifications of an order that the store does not have", trace, err)
		}
		ofOrders, err := account.New(account.Parts{Orders: w.store.Orders().Account})
		if err != nil {
			t.Fatal(err)
		}
		trace, err = ofOrders.Trace(t.Context(), w.store.Orders(), newOrder(t, 1).ID)
		if err != nil || trace.Outbox != account.Waiting || len(trace.Recipients) != 0 {
			t.Errorf("got %+v, %v: want an event in the outbox", trace, err)
		}
		if _, err := w.office(t).Trace(t.Context(), nil, newOrder(t, 99).ID); !errors.Is(err, ports.ErrNotFound) {
			t.Errorf("an order that nobody knows: error %v", err)
		}

		w.place(t, 5, 1)
		queue := w.parts.Channels[0].Queue
		w.parts.Channels[0].Queue = hanging{queue}
		switch trace, err := w.office(t).Trace(t.Context(), w.store.Orders(), newOrder(t, 5).ID); {
		case err != nil:
			t.Errorf("a broker that does not answer: %v", err)
		case trace.Outbox != account.Published || trace.Recipients[0].Place != account.NotKnown || trace.Recipients[0].Unknown == "":
			t.Errorf("a broker that does not answer: got %+v, want a published event whose place is not known", trace)
		}
		audit := account.Audit{Walk: account.Walk(func(_ context.Context, _, _ time.Time, each func(domain.OrderID, time.Time) error) (int, error) {
			return 0, each(newOrder(t, 5).ID, time.Now())
		}), Found: func(f account.Finding) error {
			if f.Reason() != "not known" {
				t.Errorf("a broker that does not answer: the audit found %+v", f)
			}
			return nil
		}}
		if result, err := w.office(t).Audit(t.Context(), audit); err != nil || result.Findings != 1 {
			t.Errorf("a broker that does not answer: the audit returned %+v, %v", result, err)
		}
	})
}
