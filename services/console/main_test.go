package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
	"example.com/orderflow/services/console"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/internal/apitest"
	"example.com/orderflow/services/notification"
	"example.com/orderflow/services/order"
)

// described checks all answers against the description, which the notification service
// serves.
var described = apitest.Load(notification.OpenAPI, func(path string) bool { return path == "/" || strings.HasPrefix(path, "/console/") })

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(apitest.Main{Tests: m, Documents: []*apitest.Document{described}})
}

var discard = slog.New(slog.DiscardHandler)

func must[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}

// world is a store and a broker with the channel mail, which writes to users.
type world struct {
	t      testing.TB
	store  memory.Store
	broker memory.Broker
	parts  console.Parts

	account account.Parts // see use
}

func newWorld(t testing.TB) *world {
	w := &world{t: t}
	w.broker.Logger = discard
	mail := w.broker.Subscription("mail")
	if err := mail.Ping(t.Context()); err != nil { // makes the queue
		t.Fatal(err)
	}
	parts := account.Parts{
		Orders: w.store.Orders().Account, Deliveries: w.store.Deliveries(), States: w.store.ChannelStates(),
		DeadLetters: w.store.DeadLetters(), DeadLetterQueue: w.broker.DeadLetterQueue(),
		Channels: []account.Channel{{Name: "mail", Recipients: []string{domain.UserRecipient}, Queue: mail, Subscription: "mail"}},
	}
	w.account = parts
	w.use(parts)
	w.parts.Orders, w.parts.Store, w.parts.Broker = w.store.Orders(), &w.store, mail
	relay := must(order.NewRelay(w.store.Orders(), w.broker.Publisher(), discard))
	w.parts.Place = must(order.NewHandler(must(order.NewService(w.store.Orders(), relay, discard)), nil, nil, discard)).PlaceForOperator
	return w
}

// use draws the console's parts from these.
func (w *world) use(parts account.Parts) {
	w.parts.Program, w.parts.Version = "orderflow", "v1"
	w.parts.Office = must(account.New(parts))
	w.parts.Control = must(notification.NewControl(notification.Store{
		Deliveries: parts.Deliveries, States: parts.States, Contacts: w.store.Contacts(), DeadLetters: parts.DeadLetters, Actions: w.store.OperatorActions(),
	}, []notification.ChannelInfo{{Name: "mail", Kind: "smtp"}}, discard))
	w.parts.Letters = must(deadletters.NewService(parts.DeadLetters, parts.DeadLetterQueue, w.store.OperatorActions(), discard))
}

func (w *world) console() *console.Console { return must(console.New(w.parts, discard)) }

// run runs a console until the test ends, in a bubble of synctest.
func (w *world) run() *console.Console {
	c := w.console()
	ctx, stop := context.WithCancel(w.t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	synctest.Wait()
	return c
}

func newOrder(n int) domain.Order {
	return must(domain.NewOrder(domain.OrderID(fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-%012x", n)), "ann", "Laptop", 1, time.Now()))
}

// place adds orders and publishes their events.
func (w *world) place(from, count int) {
	w.t.Helper()
	for n := range count {
		o := newOrder(from + n)
		if err := errors.Join(w.store.Orders().Add(w.t.Context(), o, domain.Origin{}),
			errors.Join(w.broker.Publisher().Publish(w.t.Context(), o.Created())...),
			w.store.Orders().MarkPublished(w.t.Context(), o.Created().ID)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// record records the notification of an order.
func (w *world) record(n int, notification domain.Notification) {
	w.t.Helper()
	o := newOrder(n)
	claim, err := w.store.Deliveries().Claim(w.t.Context(), domain.NotificationKey{EventID: o.Created().ID, Channel: "mail", Recipient: domain.UserRecipient})
	if err != nil {
		w.t.Fatal(err)
	}
	notification.OrderID, notification.UserID = o.ID, o.UserID
	if notification.At.IsZero() {
		notification.At = domain.TruncateTime(time.Now())
	}
	if err := claim.Record(w.t.Context(), notification, o.Created()); err != nil {
		w.t.Fatal(err)
	}
}

func get(h http.Handler, target string) (int, string) {
	w := described.Do(h, httptest.NewRequest(http.MethodGet, target, nil))
	return w.Code, w.Body.String()
}

// page is a browser's page that watches events. It is the writer of their answer.
type page struct {
	t      testing.TB
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	header http.Header
	status int
	text   bytes.Buffer
	read   int           // bytes of the text that events has returned
	stuck  chan struct{} // writes wait until it is closed; nil: they don't
}

// watch begins to watch, behind the event if it has an id.
func watch(t testing.TB, h http.Handler, lastEvent string) *page {
	p := &page{t: t, done: make(chan struct{}), header: make(http.Header)}
	ctx, cancel := context.WithCancel(t.Context())
	p.cancel = cancel
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/console/events", nil)
	if lastEvent != "" {
		r.Header.Set("Last-Event-ID", lastEvent)
	}
	go func() {
		defer close(p.done)
		h.ServeHTTP(p, r)
	}()
	t.Cleanup(p.leave)
	synctest.Wait()
	return p
}

// leave closes the page.
func (p *page) leave() {
	p.cancel()
	<-p.done
}

func (p *page) Header() http.Header { return p.header }

func (p *page) WriteHeader(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	stuck := p.stuck
	p.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (*page) Flush() {}

// slow makes the page receive nothing until it calls go on.
func (p *page) slow() (goOn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stuck := make(chan struct{})
	p.stuck = stuck
	return func() {
		p.mu.Lock()
		p.stuck = nil
		p.mu.Unlock()
		close(stuck)
		synctest.Wait()
	}
}

// event is an event as the page gets it.
type event struct {
	id, kind string
	data     struct {
		Instance string
		Account  *account.View
		Store    *console.HealthView
		Rates    *console.RatesView
		Channels []notification.ChannelView
		Jobs     []deadletters.JobView
		Points   []console.PointView
		History  *struct{ Points []console.PointView }
	}
	fields map[string]json.RawMessage
}

// events returns the events since the last call.
func (p *page) events() (events []event) {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.text.String()[p.read:]
	p.read = p.text.Len()
	for block := range strings.SplitSeq(text, "\n\n") {
		var e event
		for line := range strings.Lines(block) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "data":
				if err := errors.Join(json.Unmarshal([]byte(value), &e.data), json.Unmarshal([]byte(value), &e.fields)); err != nil {
					p.t.Fatalf("%v: %s", err, value)
				}
			}
		}
		if e.kind != "" {
			events = append(events, e)
		}
	}
	return events
}

// merged returns the state that the events lead to.
func merged(events []event) (state event) {
	for _, e := range events {
		if e.data.Account != nil {
			state.data.Account = e.data.Account
		}
		if e.data.Rates != nil {
			state.data.Rates = e.data.Rates
		}
	}
	return state
}

// one returns the only event since the last call.
func (p *page) one(kind string) event {
	p.t.Helper()
	events := p.events()
	if len(events) != 1 || events[0].kind != kind {
		var got []string
		for _, e := range events {
			got = append(got, e.kind+" "+e.id)
		}
		p.t.Fatalf("got the events %q, want one %s", got, kind)
	}
	return events[0]
}

var errAway = fmt.Errorf("dial tcp 192.0.2.1:27017 for ann@example.com: %w", ports.ErrUnavailable)
