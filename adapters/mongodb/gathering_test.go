package mongodb_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestDuplicateDoesNotAffectOthers(t *testing.T) {
	var r recorder
	store := openWith(t, mongodb.Monitored(r.monitor()))
	orders := store.Orders()
	known := newOrder(t, "known", epoch)
	if err := orders.Add(bounded(t), known, domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	all := []domain.Order{known}
	for range 99 {
		all = append(all, newOrder(t, "new", epoch))
	}
	commands := r.during(func() {
		var wg sync.WaitGroup
		for _, order := range all {
			wg.Go(func() {
				err := orders.Add(bounded(t), order, domain.Origin{})
				if order == known && !errors.Is(err, ports.ErrExists) {
					t.Errorf("add a known order: got %v, want ErrExists", err)
				}
				if order != known && err != nil {
					t.Errorf("add a new order: %v", err)
				}
			})
		}
		wg.Wait()
	})
	if len(commands) > len(all)/2 {
		t.Errorf("%d orders were written by %d commands, want many by one", len(all), len(commands))
	}
	page, err := orders.List(bounded(t), ports.OrderQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Orders) != len(all) {
		t.Errorf("%d orders are kept, want %d", len(page.Orders), len(all))
	}
}

func TestCancelledAddDoesNotAffectOthers(t *testing.T) {
	store, gate := openGated(t)
	orders := store.Orders()
	var others, early, late sync.WaitGroup
	gate.hold(t, orders, &others)

	leave := func(wg *sync.WaitGroup) (cancel context.CancelFunc, leaving []domain.Order) {
		ctx, cancel := context.WithCancel(bounded(t))
		for range 20 {
			order := newOrder(t, "leaves", epoch)
			leaving = append(leaving, order)
			wg.Go(func() {
				if err := orders.Add(ctx, order, domain.Origin{}); !errors.Is(err, context.Canceled) || !errors.Is(err, ports.ErrUnavailable) {
					t.Errorf("add with a context that is cancelled: got %v, want Canceled and ErrUnavailable", err)
				}
			})
		}
		return cancel, leaving
	}
	leaveEarly, gone := leave(&early)
	var staying []domain.Order
	for range 40 {
		order := newOrder(t, "stays", epoch)
		staying = append(staying, order)
		others.Go(func() {
			if err := orders.Add(bounded(t), order, domain.Origin{}); err != nil {
				t.Errorf("add during cancelled calls: %v", err)
			}
		})
	}
	leaveLate, _ := leave(&late)

	leaveEarly()
	early.Wait() // no insert has passed yet
	gate.pass <- struct{}{}
	gate.await(t)
	leaveLate()
	late.Wait()
	close(gate.pass)
	others.Wait()

	for _, order := range staying {
		if _, err := orders.Get(bounded(t), order.ID); err != nil {
			t.Error(err)
		}
	}
	for _, order := range gone {
		if _, err := orders.Get(bounded(t), order.ID); !errors.Is(err, ports.ErrNotFound) {
			t.Errorf("get an order whose call was cancelled before it was sent: got %v, want ErrNotFound", err)
		}
	}
}

// The server refuses a document of that size, but not the others that wait.
func TestHugeOrderDoesNotAffectOthers(t *testing.T) {
	store, gate := openGated(t)
	orders := store.Orders()
	var wg sync.WaitGroup
	gate.hold(t, orders, &wg)
	huge := newOrder(t, "ann", epoch)
	huge.Product = strings.Repeat("x", 17<<20)
	wg.Go(func() {
		err := orders.Add(bounded(t), huge, domain.Origin{})
		if err == nil || errors.Is(err, ports.ErrUnavailable) || errors.Is(err, ports.ErrExists) {
			t.Errorf("add a too large order: got %v, want a refusal", err)
		}
	})
	for range 40 {
		wg.Go(func() {
			if err := orders.Add(bounded(t), newOrder(t, "bob", epoch), domain.Origin{}); err != nil {
				t.Errorf("add together with a too large order: %v", err)
			}
		})
	}
	close(gate.pass)
	wg.Wait()
}

// The lease does not include the wait for other callers' writes.
func TestLeaseBeginsWhenTheWriteIsSent(t *testing.T) {
	const wait = 50 * time.Millisecond
	store, gate := openGated(t)
	orders, log := store.Orders(), store.Deliveries()
	first, second := newOrder(t, "ann", epoch), newOrder(t, "ann", epoch)
	claim := func(order domain.Order) error {
		_, err := log.Claim(bounded(t), keyOf(order.Created().ID, "mail"))
		return err
	}
	tests := []struct {
		name   string
		call   func(domain.Order) error
		lease  time.Duration
		in, id string
		path   []string
	}{
		{"Add", func(order domain.Order) error { return orders.Add(bounded(t), order, domain.Origin{}) }, 15 * time.Second, "orders", "_id", []string{"outbox", "free_at"}},
		{"Claim", claim, 45 * time.Second, "delivery_claims", "_id.event_id", []string{"free_at"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var wg sync.WaitGroup
			call := func(order domain.Order) {
				wg.Go(func() {
					if err := tt.call(order); err != nil {
						t.Error(err)
					}
				})
			}
			call(first)
			gate.await(t)
			call(second)
			time.Sleep(wait) // if the call has not begun by then, the test is weaker, but does not fail
			sent := time.Now()
			gate.pass <- struct{}{}
			gate.await(t)
			gate.pass <- struct{}{}
			wg.Wait()

			id := string(second.ID)
			if tt.in == "delivery_claims" {
				id = string(second.Created().ID)
			}
			document, err := store.Database().Collection(tt.in).FindOne(bounded(t), bson.M{tt.id: id}).Raw()
			if err != nil {
				t.Fatal(err)
			}
			freeAt, ok := document.Lookup(tt.path...).TimeOK()
			if !ok || freeAt.Before(sent.Add(tt.lease).Truncate(time.Millisecond)) {
				t.Errorf("free at %v, want at least %v after the write was sent at %v", freeAt, tt.lease, sent)
			}
		})
	}
}

func TestCloseWaitsForWrites(t *testing.T) {
	gate := newGate()
	store, err := mongodb.Open(bounded(t), databaseURL(t), mongodb.Monitored(gate.monitor()))
	if err != nil {
		t.Fatal(err)
	}
	orders := store.Orders()
	var wg sync.WaitGroup
	gate.hold(t, orders, &wg)
	closed := make(chan error, 1)
	wg.Go(func() { closed <- store.Close(bounded(t)) })
	// Close refuses new calls, immediately or soon.
	ctx := bounded(t)
	for {
		short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		err := orders.Add(short, newOrder(t, "late", epoch), domain.Origin{})
		cancel()
		if err == nil || !errors.Is(err, ports.ErrUnavailable) {
			t.Fatalf("add while the store closes: got %v, want ErrUnavailable", err)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the closing store still accepts calls")
		}
	}
	select {
	case err := <-closed:
		t.Fatalf("Close returned %v before the write had its answer", err)
	default:
	}
	close(gate.pass)
	wg.Wait()
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
