package account_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
	"example.com/orderflow/services/internal/apitest"
	"example.com/orderflow/services/notification"
	"example.com/orderflow/services/order"
)

// What the descriptions of both services say of the account.
var (
	ofOrders        = apitest.Load(order.OpenAPI, isAccount)
	ofNotifications = apitest.Load(notification.OpenAPI, isAccount)
)

func isAccount(path string) bool { return path == "/account" }

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var discard = slog.New(slog.DiscardHandler)

// world is a store and a broker with the channel mail, which writes to users.
type world struct {
	store  memory.Store
	broker memory.Broker
	parts  account.Parts
}

func newWorld(t *testing.T) *world {
	w := new(world)
	w.broker.Logger = discard
	mail := w.broker.Subscription("mail")
	if err := mail.Ping(t.Context()); err != nil { // makes the queue
		t.Fatal(err)
	}
	w.parts = account.Parts{
		Orders: w.store.Orders().Account, Deliveries: w.store.Deliveries(), States: w.store.ChannelStates(),
		DeadLetters: w.store.DeadLetters(), DeadLetterQueue: w.broker.DeadLetterQueue(),
		Channels: []account.Channel{{Name: "mail", Recipients: []string{domain.UserRecipient}, Queue: mail, Subscription: "mail"}},
	}
	return w
}

func (w *world) office(t *testing.T) *account.Office {
	t.Helper()
	office, err := account.New(w.parts)
	if err != nil {
		t.Fatal(err)
	}
	return office
}

func newOrder(t *testing.T, n int) domain.Order {
	t.Helper()
	order, err := domain.NewOrder(domain.OrderID(fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-%012x", n)), "ann", "Laptop", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return order
}

// place adds orders, and publishes their events.
func (w *world) place(t *testing.T, from, count int) {
	t.Helper()
	for n := range count {
		order := newOrder(t, from+n)
		err := errors.Join(w.store.Orders().Add(t.Context(), order, domain.Origin{}),
			errors.Join(w.broker.Publisher().Publish(t.Context(), order.Created())...),
			w.store.Orders().MarkPublished(t.Context(), order.Created().ID))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// handle takes count events out of the queue. It records them in the state, or nothing if
// that is empty.
func (w *world) handle(t *testing.T, count int, state domain.NotificationState) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err := w.broker.Subscription("mail").Consume(ctx, func(call context.Context, d ports.Delivery) error {
		if count--; count < 0 {
			return ports.Postpone(errors.New("stopped"))
		}
		if count == 0 {
			defer stop()
		}
		if state == "" {
			return nil
		}
		claim, err := w.store.Deliveries().Claim(call, domain.NotificationKey{EventID: d.Event.ID, Channel: "mail", Recipient: domain.UserRecipient})
		if err != nil {
			return err
		}
		return claim.Record(call, domain.Notification{
			OrderID: d.Event.Order.ID, State: state, At: domain.TruncateTime(time.Now()), NextTry: time.Now().Add(time.Hour),
		}, d.Event)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func states(a account.Account) []account.State {
	all := []account.State{a.State}
	for _, r := range a.Recipients {
		all = append(all, r.State)
	}
	return all
}

func check(t *testing.T, a account.Account, difference int, want ...account.State) {
	t.Helper()
	if diff := cmp.Diff(want, states(a)); diff != "" || a.Recipients[0].Difference != difference {
		t.Errorf("difference %d, want %d; states (-want +got):\n%s\n%+v", a.Recipients[0].Difference, difference, diff, a)
	}
}

func TestAccountAddsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broker.Prefetch = 1
		office := w.office(t)
		office.RunOpening(t.Context(), discard)
		check(t, office.Draw(t.Context()), 0, account.Even, account.Even)
		w.place(t, 0, 10)
		check(t, office.Draw(t.Context()), 0, account.Even, account.Even)
		for _, state := range domain.NotificationStates {
			w.handle(t, 1, state)
			time.Sleep(time.Second)
		}
		a := office.Draw(t.Context())
		check(t, a, 0, account.Even, account.Even)
		r := a.Recipients[0]
		if *r.Events != 10 || r.Sent != 1 || r.Retrying.N != 1 || r.Held.N != 1 || r.Dead.N != 1 || r.Skipped != 1 || r.InQueue != 5 {
			t.Errorf("got %+v", r)
		}
		if v := account.NewView(a); v.Recipients[0].Dead.AgeSeconds == 0 || v.Queues[0].Ready.Count+v.Queues[0].Delayed != 5 {
			t.Errorf("got %+v", v)
		}
	})
}

// An event that vanishes is missed at once, because the broker knows all that was taken.
func TestAccountMissesEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broker.Prefetch = 1
		office := w.office(t)
		office.RunOpening(t.Context(), discard)
		w.place(t, 0, 10)
		w.handle(t, 3, "")
		check(t, office.Draw(t.Context()), 3, account.Uneven, account.Uneven)
	})
}

// Where the broker hides what others have taken, a difference may be under way, but not for
// ever.
func TestDifferenceThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broker.Prefetch = 1
		w.parts.Channels[0].Queue = hiding{w.parts.Channels[0].Queue, 5}
		if err := w.store.ChannelStates().Open(t.Context(), ports.Opening{Channel: "mail", Recipient: domain.UserRecipient, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		office := w.office(t)
		w.place(t, 0, 10)
		w.handle(t, 4, "")
		check(t, office.Draw(t.Context()), 4, account.Moving, account.Moving)
		time.Sleep(59 * time.Second)
		check(t, office.Draw(t.Context()), 4, account.Moving, account.Moving)
		time.Sleep(2 * time.Second)
		check(t, office.Draw(t.Context()), 4, account.Uneven, account.Uneven)
		w.handle(t, 1, domain.Sent)
		time.Sleep(time.Minute)
		check(t, office.Draw(t.Context()), 4, account.Moving, account.Moving)
		w.handle(t, 2, "")
		check(t, office.Draw(t.Context()), 6, account.Uneven, account.Uneven)
	})
}

// hiding is a queue whose broker does not tell what other processes have taken.
type hiding struct {
	ports.EventQueue
	hidden int
}

func (q hiding) Depth(ctx context.Context) (ports.QueueDepth, error) {
	d, err := q.EventQueue.Depth(ctx)
	d.Hidden = q.hidden
	return d, err
}

// A recipient that is added later gets only the events from then on.
func TestOpeningLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broker.Prefetch = 1
		w.office(t).RunOpening(t.Context(), discard)
		w.place(t, 0, 10)
		w.handle(t, 10, domain.Sent)
		w.parts.Channels[0].Recipients = append(w.parts.Channels[0].Recipients, "warehouse")
		web := w.broker.Subscription("web")
		w.parts.Channels = append(w.parts.Channels, account.Channel{Name: "web", Recipients: []string{""}, Queue: web, Subscription: "web"})
		office := w.office(t)
		go func() { // web's queue exists only when its consumer has connected
			time.Sleep(3 * time.Second)
			_ = web.Ping(t.Context())
		}()
		office.RunOpening(t.Context(), discard)
		check(t, office.Draw(t.Context()), 0, account.Even, account.Even, account.Even, account.Even)
		w.place(t, 10, 1)
		a := office.Draw(t.Context())
		check(t, a, 0, account.Even, account.Even, account.Even, account.Even)
		if *a.Recipients[1].Events != 1 || *a.Recipients[2].Events != 1 {
			t.Errorf("got %+v, want one event for each of the new recipients", a.Recipients)
		}
	})
}

// A recipient that was removed and is added again misses nothing of the time between.
func TestOpeningAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broker.Prefetch = 1
		w.parts.Channels[0].Recipients = []string{"berlin", domain.UserRecipient}
		w.office(t).RunOpening(t.Context(), discard)
		w.parts.Channels[0].Recipients = []string{domain.UserRecipient}
		w.office(t).RunOpening(t.Context(), discard)
		w.place(t, 0, 3)
		w.handle(t, 3, domain.Sent)
		check(t, w.office(t).Draw(t.Context()), 0, account.Even, account.Even)
		w.parts.Channels[0].Recipients = []string{"berlin", domain.UserRecipient}
		w.office(t).RunOpening(t.Context(), discard)
		check(t, w.office(t).Draw(t.Context()), 0, account.Even, account.Even, account.Even)
	})
}

// A recipient that was added while events were under way is not said to miss those that may
// have been before it.
func TestOpeningUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		opening := ports.Opening{Channel: "mail", Recipient: domain.UserRecipient, At: time.Now(), Before: 7, Uncertain: 2}
		if err := w.store.ChannelStates().Open(t.Context(), opening); err != nil {
			t.Fatal(err)
		}
		w.place(t, 0, 10)
		w.parts.Channels[0].Queue = empty{w.parts.Channels[0].Queue}
		for difference, state := range map[int]account.State{-3: account.Uneven, -2: account.Even, 2: account.Even, 3: account.Uneven} {
			w.parts.Deliveries = deliveries{w.store.Deliveries(), 3 - difference}
			office := w.office(t)
			check(t, office.Draw(t.Context()), difference, state, state)
			time.Sleep(2 * time.Minute)
			check(t, office.Draw(t.Context()), difference, state, state)
		}

		w.parts.Deliveries = deliveries{w.store.Deliveries(), 2} // nothing is under way any more
		office := w.office(t)
		began := time.Now()
		office.RunOpening(t.Context(), discard)
		if took := time.Since(began); took < time.Minute {
			t.Errorf("corrected after %v", took)
		}
		check(t, office.Draw(t.Context()), 0, account.Even, account.Even)
		w.parts.Deliveries = deliveries{w.store.Deliveries(), 1}
		check(t, w.office(t).Draw(t.Context()), 1, account.Uneven, account.Uneven)
	})
}

// deliveries is a log that has sent so many notifications.
type deliveries struct {
	ports.DeliveryLog
	sent int
}

func (d deliveries) Account(context.Context) ([]ports.DeliveryAccount, error) {
	return []ports.DeliveryAccount{{Channel: "mail", Recipient: domain.UserRecipient, Sent: d.sent}}, nil
}

// empty is a queue without events.
type empty struct{ ports.EventQueue }

func (empty) Depth(context.Context) (ports.QueueDepth, error) { return ports.QueueDepth{}, nil }

// Events that are published, handled and recorded while the account is drawn up are counted
// twice, and a notification that changes its state may be in none. Both is no fault.
func TestAccountDuringTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broker.Prefetch = 1
		w.office(t).RunOpening(t.Context(), discard)
		w.place(t, 0, 3)
		w.handle(t, 3, domain.Sent)
		n := 3
		w.parts.Channels[0].Queue = busy{w.parts.Channels[0].Queue, func() {
			w.place(t, n, 5)
			w.handle(t, 5, domain.Sent)
			n += 5
		}}
		check(t, w.office(t).Draw(t.Context()), -5, account.Moving, account.Moving)

		w.parts.Channels[0].Queue = empty{w.parts.Channels[0].Queue}
		w.parts.Deliveries = &forgetful{DeliveryLog: w.store.Deliveries()}
		check(t, w.office(t).Draw(t.Context()), 0, account.Even, account.Even)
		w.parts.Deliveries = &draining{DeliveryLog: w.store.Deliveries()}
		check(t, w.office(t).Draw(t.Context()), 1, account.Moving, account.Moving)
	})
}

// draining is a log that misses the notification whose state changes, at each look.
type draining struct {
	ports.DeliveryLog
	looks int
}

func (d *draining) Account(ctx context.Context) ([]ports.DeliveryAccount, error) {
	all, err := d.DeliveryLog.Account(ctx)
	if d.looks++; len(all) > 0 {
		all[0].Sent -= d.looks + 1
		all[0].Held.N += d.looks
	}
	return all, err
}

// busy is a queue in which something happens before each look.
type busy struct {
	ports.EventQueue
	happens func()
}

func (q busy) Depth(ctx context.Context) (ports.QueueDepth, error) {
	q.happens()
	return q.EventQueue.Depth(ctx)
}

// forgetful is a log that misses a notification at the first look.
type forgetful struct {
	ports.DeliveryLog
	looked bool
}

func (d *forgetful) Account(ctx context.Context) ([]ports.DeliveryAccount, error) {
	all, err := d.DeliveryLog.Account(ctx)
	if !d.looked && len(all) > 0 {
		d.looked = true
		all[0].Sent--
	}
	return all, err
}

// Events that wait in the queue and are recorded, too, are counted twice until they are
// handled: repeats, or dead letters that are replayed while no notifier runs.
func TestRepeatsInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broker.Prefetch = 1
		office := w.office(t)
		office.RunOpening(t.Context(), discard)
		w.place(t, 0, 4)
		w.handle(t, 4, domain.Dead)
		for n := range 4 {
			if err := errors.Join(w.broker.Publisher().Publish(t.Context(), newOrder(t, n).Created())...); err != nil {
				t.Fatal(err)
			}
		}
		check(t, office.Draw(t.Context()), -4, account.Moving, account.Moving)
		time.Sleep(2 * time.Minute)
		check(t, office.Draw(t.Context()), -4, account.Moving, account.Moving)
		w.handle(t, 4, domain.Sent)
		check(t, office.Draw(t.Context()), 0, account.Even, account.Even)
	})
}

// A part that hangs does not keep the others from answering in time.
func TestAccountWithoutAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.place(t, 0, 1)
		w.parts.Channels[0].Queue = hanging{w.parts.Channels[0].Queue}
		w.parts.Orders = func(ctx context.Context) (ports.OutboxAccount, error) {
			<-ctx.Done()
			return ports.OutboxAccount{}, fmt.Errorf("count orders: %w", ctx.Err())
		}
		begin := time.Now()
		a := w.office(t).Draw(t.Context())
		if took := time.Since(begin); took > account.Timeout {
			t.Errorf("took %v", took)
		}
		if a.State != account.Unknown || len(a.Faults) != 2 || len(a.Recipients) != 1 || a.LetterQueue == nil {
			t.Errorf("got %+v", a)
		}
	})
}

type hanging struct{ ports.EventQueue }

func (hanging) Depth(ctx context.Context) (ports.QueueDepth, error) {
	<-ctx.Done()
	return ports.QueueDepth{}, ctx.Err()
}

// A notifier that does not know the orders does not say that all is well.
func TestAccountWithoutOrders(t *testing.T) {
	w := newWorld(t)
	w.parts.Orders = nil
	check(t, w.office(t).Draw(t.Context()), 0, account.Unknown, account.Unknown)
}

func TestOrdersDifference(t *testing.T) {
	office, err := account.New(account.Parts{Orders: func(context.Context) (ports.OutboxAccount, error) {
		return ports.OutboxAccount{Orders: 5, Published: 3, Waiting: ports.Backlog{N: 1}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if a := office.Draw(t.Context()); a.State != account.Uneven || a.Orders.Difference != 1 {
		t.Errorf("got %+v", a.Orders)
	}
}

func TestRemoteOrders(t *testing.T) {
	w := newWorld(t)
	w.place(t, 0, 2)
	if err := w.store.Orders().Add(t.Context(), newOrder(t, 9), domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	office, err := account.New(account.Parts{Orders: w.store.Orders().Account})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := account.NewHandler(office, discard)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	want, err := w.store.Orders().Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := account.RemoteOrders(client, server.URL+"/")(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	elsewhere := "404 Not Found: this path does not exist; give the admin address of the order service"
	for url, text := range map[string]string{server.URL + "/other": elsewhere, "http://127.0.0.1:1": "unavailable"} {
		if _, err := account.RemoteOrders(client, url)(t.Context()); !errors.Is(err, ports.ErrUnavailable) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: error %v, want an unavailable one with %s", url, err, text)
		}
		_, err := account.RemoteOrderStore(client, url).Get(t.Context(), newOrder(t, 1).ID)
		if !errors.Is(err, ports.ErrUnavailable) || errors.Is(err, ports.ErrNotFound) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: an order: error %v, want an unavailable one with %s", url, err, text)
		}
	}
}

func TestNew(t *testing.T) {
	w := newWorld(t)
	for what, parts := range map[string]account.Parts{
		"nothing":   {},
		"no states": {Deliveries: w.store.Deliveries(), DeadLetters: w.store.DeadLetters(), DeadLetterQueue: w.broker.DeadLetterQueue()},
	} {
		if _, err := account.New(parts); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// The answers are as both services describe them.
func TestHandler(t *testing.T) {
	w := newWorld(t)
	w.broker.Prefetch = 1
	w.office(t).RunOpening(t.Context(), discard)
	w.place(t, 0, 4)
	w.handle(t, 1, domain.Dead)
	w.handle(t, 1, domain.Retrying)
	if err := w.store.Orders().Add(t.Context(), newOrder(t, 9), domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	letter := ports.DeadLetter{ID: "unreadable-0123", Failure: ports.Failure{FirstFailure: time.Now()}}
	if err := w.store.DeadLetters().Put(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	for _, document := range []*apitest.Document{ofOrders, ofNotifications} {
		parts := w.parts
		if document == ofOrders {
			parts = account.Parts{Orders: parts.Orders}
		}
		broken := parts
		broken.Orders = func(context.Context) (ports.OutboxAccount, error) {
			return ports.OutboxAccount{}, errors.New("refused for mongodb://ann:secret@host")
		}
		for want, parts := range map[string]account.Parts{"even": parts, "unknown": broken} {
			office, err := account.New(parts)
			if err != nil {
				t.Fatal(err)
			}
			h, err := account.NewHandler(office, discard)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(h.Operations(), document.Operations()); diff != "" {
				t.Errorf("operations (-served +documented):\n%s", diff)
			}
			answer := document.Do(h, httptest.NewRequest("GET", "/account", nil))
			if body := answer.Body.String(); answer.Code != 200 || !strings.Contains(body, `"state":"`+want+`"`) || strings.Contains(body, "secret") {
				t.Errorf("answered %d %s, want state %s", answer.Code, body, want)
			}
			document.CheckRefusals(t, h)
		}
	}
}
