package notification_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/logtest"
	"example.com/orderflow/services/notification"
)

// world is a store, a broker, and receivers, for notifiers in virtual time.
type world struct {
	t      *testing.T
	store  *memory.Store
	broker *memory.Broker
	alerts alerts
	log    logtest.Buffer
	orders int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: new(memory.Store)}
	w.broker = &memory.Broker{Logger: slog.New(slog.NewTextHandler(&w.log, nil))}
	return w
}

// route returns a route with a queue of its own by the channel.
func (w *world) route(c ports.Channel) notification.Route {
	return notification.Route{Channel: c, Queue: w.broker.Subscription(c.Name()), Subscription: c.Name()}
}

func (w *world) parts() notification.Parts {
	return notification.Parts{
		Deliveries: w.store.Deliveries(), States: w.store.ChannelStates(), Contacts: w.store.Contacts(),
		DeadLetters: w.broker.DeadLetterQueue(), Alerts: &w.alerts, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
}

// start runs a notifier with the routes, and returns after it consumes. The notifier
// stops at the test's end, or by stop, which waits for it.
func (w *world) start(routes ...notification.Route) (stop func()) {
	return w.startWith(w.parts(), routes...)
}

func (w *world) startWith(parts notification.Parts, routes ...notification.Route) (stop func()) {
	w.t.Helper()
	s := must(notification.NewService(parts, routes...))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	synctest.Wait()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Error(err)
			}
		})
	}
	w.t.Cleanup(stop)
	return stop
}

// handler returns a service with the route, which does not run, and its handler.
func (w *world) handler(r notification.Route) (*notification.Service, ports.Handler) {
	s := must(notification.NewService(w.parts(), r))
	return s, s.Handler(r.Channel.Name())
}

// order publishes n orders' events, and returns them.
func (w *world) order(n int) (events []domain.Event) {
	w.t.Helper()
	for range n {
		w.orders++
		o, err := domain.NewOrder(domain.OrderID(fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-%012x", w.orders)), "ann", "Laptop", 1, time.Now())
		if err != nil {
			w.t.Fatal(err)
		}
		events = append(events, o.Created())
	}
	if err := errors.Join(w.broker.Publisher().Publish(w.t.Context(), events...)...); err != nil {
		w.t.Fatal(err)
	}
	return events
}

// list returns the recorded notifications of the channel, in any of the states.
func (w *world) list(channel string, states ...domain.NotificationState) (all []domain.Notification) {
	w.t.Helper()
	query := ports.NotificationQuery{Channel: channel, States: states, Limit: ports.MaxListLimit}
	for {
		page, err := w.store.Deliveries().List(context.Background(), query)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, page.Notifications...)
		if query.Cursor = page.NextCursor; query.Cursor == "" {
			return all
		}
	}
}

// one returns the channel's only notification.
func (w *world) one(channel string) domain.Notification {
	w.t.Helper()
	all := w.list(channel)
	if len(all) != 1 {
		w.t.Fatalf("channel %s has %d notifications, want one: %+v", channel, len(all), all)
	}
	return all[0]
}

// pauses returns the stored pauses' kinds, as "channel receiver kind".
func (w *world) pauses() (all []string) {
	w.t.Helper()
	pauses, err := w.store.ChannelStates().Pauses(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range pauses {
		all = append(all, strings.Join(strings.Fields(p.Channel+" "+p.Receiver+" "+string(p.Kind)), " "))
	}
	return all
}

// resume does what an operator's resume does.
func (w *world) resume(channel, receiver string) {
	w.t.Helper()
	key := domain.PauseKey{Channel: channel, Receiver: receiver}
	control := must(notification.NewControl(storeOf(w.store), []notification.ChannelInfo{{Name: channel}}, discard))
	if _, err := control.Resume(context.Background(), key, "ann"); err != nil && !errors.Is(err, notification.ErrNotPaused) {
		w.t.Fatal(err)
	}
}

// post is a channel whose receivers a test controls.
type post struct {
	name   string
	mu     sync.Mutex
	answer func(message ports.Outgoing) error // nil: accepts
	took   time.Duration
	tries  []time.Time
	got    []sending // accepted
}

type sending struct {
	id      string
	address string
	attempt int
	at      time.Time
}

func (p *post) Name() string { return p.name }

func (p *post) Send(ctx context.Context, message ports.Outgoing) (ports.Answer, error) {
	p.mu.Lock()
	p.tries = append(p.tries, time.Now())
	answer, took := p.answer, p.took
	p.mu.Unlock()
	if took > 0 {
		select {
		case <-time.After(took):
		case <-ctx.Done():
			return ports.Answer{}, ctx.Err()
		}
	}
	if answer != nil {
		if err := answer(message); err != nil {
			return ports.Answer{Code: "503", Text: err.Error()}, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, sending{message.ID, message.Address, message.Attempt, time.Now()})
	return ports.Answer{Code: "200", Text: "thank you"}, nil
}

// set changes how the receivers answer.
func (p *post) set(answer func(ports.Outgoing) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// fail lets every receiver answer with the error; nil: they accept.
func (p *post) fail(err error) { p.set(func(ports.Outgoing) error { return err }) }

func (p *post) times() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Time(nil), p.tries...)
}

func (p *post) tried() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tries)
}

func (p *post) sent() []sending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]sending(nil), p.got...)
}

// checkOnce checks that each of the events was accepted once.
func (p *post) checkOnce(t *testing.T, events []domain.Event) {
	t.Helper()
	got := make(map[string]int)
	for _, s := range p.sent() {
		got[s.id]++
	}
	for _, e := range events {
		if n := got[string(e.ID)]; n != 1 {
			t.Errorf("event %s was sent %d times, want once", e.ID, n)
		}
	}
	if len(got) != len(events) {
		t.Errorf("%d events were sent, want %d", len(got), len(events))
	}
}

// addressed is a post whose receivers have addresses such as ann@example.com. What is
// after the @ is the receiver.
type addressed struct{ post }

func (*addressed) CheckAddress(address string) error { return new(mailbox).CheckAddress(address) }
func (*addressed) Receiver(address string) string    { return new(mailbox).Receiver(address) }

type alerts struct {
	mu  sync.Mutex
	all []notification.Alert
}

func (a *alerts) Alert(alert notification.Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, alert)
}

func (a *alerts) list() []notification.Alert {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

// kinds returns the alerts as "kind channel receiver".
func (a *alerts) kinds() (all []string) {
	for _, alert := range a.list() {
		all = append(all, strings.Join(strings.Fields(string(alert.Kind)+" "+alert.Channel+" "+alert.Receiver), " "))
	}
	return all
}

var errAway = ports.Postpone(errors.New("dial tcp 192.0.2.1:25: connection refused"))
