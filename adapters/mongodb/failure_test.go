package mongodb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// behindProxy opens a database of the test's own through a proxy.
func behindProxy(t *testing.T, query string) (*mongodb.Store, *proxy) {
	t.Helper()
	p := newProxy(t, databaseURL(t))
	store := open(t, p.url+query, mongodb.Options{})
	t.Cleanup(p.Heal) // so that the store closes without a wait
	return store, p
}

// calls returns every call of a store, by name.
func calls(t *testing.T, store *mongodb.Store, order domain.Order, claim ports.DeliveryClaim, waiting ports.WaitingDelivery) map[string]func(context.Context) error {
	t.Helper()
	orders, deliveries, letters := store.Orders(), store.Deliveries(), store.DeadLetters()
	contacts, states := store.Contacts(), store.ChannelStates()
	pause := ports.Pause{PauseKey: domain.PauseKey{Channel: "email"}, Kind: ports.Manual, Since: epoch}
	id := order.Created().ID
	return map[string]func(context.Context) error{
		"Ping":              store.Ping,
		"Add":               func(ctx context.Context) error { return orders.Add(ctx, newOrder(t, "bob", epoch), domain.Origin{}) },
		"Get":               func(ctx context.Context) error { _, err := orders.Get(ctx, order.ID); return err },
		"List":              func(ctx context.Context) error { _, err := orders.List(ctx, ports.OrderQuery{}); return err },
		"Outbox.Claim":      func(ctx context.Context) error { _, err := orders.Claim(ctx, 1); return err },
		"MarkPublished":     func(ctx context.Context) error { return orders.MarkPublished(ctx, id) },
		"DeliveryLog.Claim": func(ctx context.Context) error { _, err := deliveries.Claim(ctx, keyOf(id, "mail")); return err },
		"DeliveryLog.List": func(ctx context.Context) error {
			_, err := deliveries.List(ctx, ports.NotificationQuery{OrderID: order.ID})
			return err
		},
		"ClaimDue":  func(ctx context.Context) error { _, err := deliveries.ClaimDue(ctx, "log", 1); return err },
		"ClaimHeld": func(ctx context.Context) error { _, err := deliveries.ClaimHeld(ctx, server, 1); return err },
		"Forget":    func(ctx context.Context) error { _, err := deliveries.Forget(ctx, "carl"); return err },
		"Expire":    func(ctx context.Context) error { _, err := deliveries.Expire(ctx, epoch, 1); return err },
		"Record of a waiting one": func(ctx context.Context) error {
			return waiting.Claim.Record(ctx, waiting.Notification, waiting.Event)
		},
		"Release of a waiting one": waiting.Claim.Release,
		"Contacts.Get": func(ctx context.Context) error {
			_, err := contacts.Get(ctx, "nobody")
			return except(err, ports.ErrNotFound)
		},
		"Contacts.Put": func(ctx context.Context) error {
			return contacts.Put(ctx, ports.Contact{UserID: "ann", UpdatedAt: epoch})
		},
		"Contacts.Delete":    func(ctx context.Context) error { return except(contacts.Delete(ctx, "nobody"), ports.ErrNotFound) },
		"Contacts.List":      func(ctx context.Context) error { _, err := contacts.List(ctx, 1, ""); return err },
		"Register":           func(ctx context.Context) error { _, err := states.Register(ctx, "email"); return err },
		"States.Forget":      func(ctx context.Context) error { return states.Forget(ctx, "fax") },
		"Pauses":             func(ctx context.Context) error { _, err := states.Pauses(ctx); return err },
		"Pause":              func(ctx context.Context) error { return except(states.Pause(ctx, pause), ports.ErrExists) },
		"Change":             func(ctx context.Context) error { return except(states.Change(ctx, pause, pause), ports.ErrChanged) },
		"End":                func(ctx context.Context) error { return except(states.End(ctx, pause), ports.ErrChanged) },
		"DeadLetters.Forget": func(ctx context.Context) error { _, err := letters.Forget(ctx, "carl"); return err },
		"DeadLetters.Put":    func(ctx context.Context) error { return letters.Put(ctx, deadLetter("other", epoch)) },
		"DeadLetters.Get":    func(ctx context.Context) error { _, err := letters.Get(ctx, "letter"); return err },
		"DeadLetters.List":   func(ctx context.Context) error { _, err := letters.List(ctx, ports.DeadLetterQuery{}); return err },
		"Settle": func(ctx context.Context) error {
			return letters.Settle(ctx, deadLetterRecord("letter", epoch), ports.Replayed, "me")
		},
		"Release": claim.Release,
		"Record": func(ctx context.Context) error {
			return claim.Record(ctx, domain.Notification{EventID: id, OrderID: order.ID, Channel: "log", Attempt: 1, State: domain.Sent, At: epoch}, domain.Event{})
		},
	}
}

// except returns the error unless it says what the call found.
func except(err, found error) error {
	if errors.Is(err, found) {
		return nil
	}
	return err
}

// filled adds an order, a claim, a waiting notification and a dead letter to the store. It returns the order
// and the calls that use all three.
func filled(ctx context.Context, t *testing.T, store *mongodb.Store) (domain.Order, map[string]func(context.Context) error) {
	t.Helper()
	order := newOrder(t, "ann", epoch)
	if err := store.Orders().Add(ctx, order, domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	claim, err := store.Deliveries().Claim(ctx, keyOf(order.Created().ID, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.DeadLetters().Put(ctx, deadLetter("letter", epoch)); err != nil {
		t.Fatal(err)
	}
	other := newOrder(t, "ann", epoch)
	recordOf(t, store.Deliveries(), other, unsentOf(other, domain.Held))
	return order, calls(t, store, order, claim, claimHeld(t, store.Deliveries(), 1)[0])
}

func TestOutage(t *testing.T) {
	store, p := behindProxy(t, "&serverSelectionTimeoutMS=500")
	ctx := bounded(t)
	order, all := filled(ctx, t, store)

	p.Cut()
	for name, call := range all {
		start := time.Now()
		if err := call(ctx); !errors.Is(err, ports.ErrUnavailable) {
			t.Errorf("%s during the outage: got %v, want ErrUnavailable", name, err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s during the outage took %v", name, d)
		}
	}

	p.Heal()
	for name, call := range all {
		// The driver may notice the server's return only after some calls.
		err := call(ctx)
		for errors.Is(err, ports.ErrUnavailable) && ctx.Err() == nil {
			err = call(ctx)
		}
		if err != nil {
			t.Errorf("%s after the outage: %v", name, err)
		}
	}
	got, err := store.Orders().Get(ctx, order.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(order, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// With one connection in the pool, all but one of these calls wait for it. The
// timeout includes that.
func TestEveryCallHasATimeout(t *testing.T) {
	store, p := behindProxy(t, "&timeoutMS=500&maxPoolSize=1")
	ctx := bounded(t)
	_, all := filled(ctx, t, store)
	p.mute.Store(true)
	var wg sync.WaitGroup
	for name, call := range all {
		wg.Go(func() {
			start := time.Now()
			if err := call(ctx); !errors.Is(err, ports.ErrUnavailable) { // ctx ends later than the timeout
				t.Errorf("%s without an answer: got %v, want ErrUnavailable", name, err)
			}
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("%s without an answer took %v, want about 0.5 s", name, d)
			}
		})
	}
	wg.Wait()
}

func TestCallsEndWithTheirContext(t *testing.T) {
	store, p := behindProxy(t, "")
	ctx := bounded(t)
	_, all := filled(ctx, t, store)
	p.mute.Store(true)
	ends := map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 200*time.Millisecond)
		},
		"cancellation": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			timer := time.AfterFunc(200*time.Millisecond, cancel)
			return ctx, func() { timer.Stop(); cancel() }
		},
		"ended before": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		},
	}
	var wg sync.WaitGroup
	for how, end := range ends {
		for name, call := range all {
			wg.Go(func() {
				ctx, cancel := end()
				defer cancel()
				start := time.Now()
				err := call(ctx)
				took := time.Since(start)
				<-ctx.Done() // a connection may notice the deadline earlier
				if !errors.Is(err, ports.ErrUnavailable) || !errors.Is(err, ctx.Err()) {
					t.Errorf("%s, %s: got %v, want ErrUnavailable and %v", name, how, err, ctx.Err())
				}
				if took > 3*time.Second {
					t.Errorf("%s, %s: took %v", name, how, took)
				}
			})
		}
	}
	wg.Wait()
}

// A caller whose answer was lost repeats the call and finds the order.
func TestAddSettlesLostAnswer(t *testing.T) {
	store, p := behindProxy(t, "")
	orders := store.Orders()
	order := newOrder(t, "ann", time.Now().Truncate(time.Millisecond).UTC())

	p.mute.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := orders.Add(ctx, order, domain.Origin{}); !errors.Is(err, ports.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want ErrUnavailable and DeadlineExceeded", err)
	}
	p.Cut() // ends the calls that wait for a lost answer
	p.Heal()

	ctx = bounded(t)
	err := orders.Add(ctx, order, domain.Origin{})
	for errors.Is(err, ports.ErrUnavailable) && ctx.Err() == nil {
		err = orders.Add(ctx, order, domain.Origin{})
	}
	if !errors.Is(err, ports.ErrExists) {
		t.Errorf("add again: got %v, want ErrExists", err)
	}
	got, err := orders.Get(ctx, order.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(order, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
