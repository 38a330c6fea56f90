package porttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// StoreClauses returns the contract of [ports.OrderRepository] and
// [ports.Outbox].
func StoreClauses() []Clause[Store] {
	clauses := []Clause[Store]{
		{"Add keeps an order, and Get returns it with every field as it was added", addKeepsEveryField},
		{"Add refuses an id that is kept already, and leaves what is there", addRefusesKnownID},
		{"Add by many at once keeps one order of an id, and tells the others", addOneOfMany},
		{"Add answers each of many callers for its own order", addAnswersEach},
		{"Add keeps the order although its context ends afterwards", addOutlivesContext},
		{"Add with an ended context keeps neither the order nor its event", addEnded},
		{"Add whose context ends in the middle disturbs no other, and Add again settles it", addCancelled},
		{"Get finds nothing under an id that was not added", getUnknown},
		{"Get and List with an ended context say so", readEnded},
		{"Methods may be called from several goroutines at once", storeAtOnce},
	}
	clauses = append(clauses, listClauses()...)
	return append(clauses, outboxClauses()...)
}

// addAll adds the orders, many at once.
func addAll(t testing.TB, s Store, orders ...domain.Order) {
	t.Helper()
	const callers = 32
	ctx := bounded(t)
	together(callers, func(c int) {
		for i := c; i < len(orders); i += callers {
			if err := s.Orders.Add(ctx, orders[i]); err != nil {
				t.Errorf("add order %s: %v", orders[i].ID, err)
				return
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
}

func checkKept(t testing.TB, s Store, want domain.Order) {
	t.Helper()
	got, err := s.Orders.Get(bounded(t), want.ID)
	if err != nil {
		t.Errorf("get order %s: %v", want.ID, err)
		return
	}
	checkOrder(t, want, got)
}

func addKeepsEveryField(t testing.TB, s Store) {
	want := hardOrders(t)
	for _, order := range want {
		addAll(t, s, order)
		checkKept(t, s, order)
	}
	for _, order := range want {
		checkKept(t, s, order)
	}
}

func addRefusesKnownID(t testing.TB, s Store) {
	first := order(t, 1)
	addAll(t, s, first)
	other := newOrder(t, 1, "another", "other", 7, epoch.Add(time.Hour))
	for _, again := range []domain.Order{first, other} {
		checkError(t, "add a known id", s.Orders.Add(bounded(t), again), ports.ErrExists, string(first.ID))
		checkKept(t, s, first)
	}
	checkList(t, s, ports.OrderQuery{Limit: 10}, first)
	checkOutbox(t, s, first.Created())
}

func addOneOfMany(t testing.TB, s Store) {
	const callers = 32
	var mu sync.Mutex
	var kept []domain.Order
	ctx := bounded(t)
	together(callers, func(i int) {
		mine := order(t, 1)
		mine.Quantity = i + 1
		switch err := s.Orders.Add(ctx, mine); {
		case err == nil:
			mu.Lock()
			defer mu.Unlock()
			kept = append(kept, mine)
		case !errors.Is(err, ports.ErrExists):
			t.Errorf("add: error %v, want none or one that wraps %q", err, ports.ErrExists)
		}
	})
	if len(kept) != 1 {
		t.Fatalf("%d of %d callers were told that their order is kept, want one", len(kept), callers)
	}
	checkKept(t, s, kept[0])
	checkList(t, s, ports.OrderQuery{Limit: 10}, kept[0])
	checkOutbox(t, s, kept[0].Created())
}

// Whoever gives up may leave an order behind, but none without its event.
func addCancelled(t testing.TB, s Store) {
	all := orders(t, 1, 200)
	ctx := bounded(t)
	var mu sync.Mutex
	var open []domain.Order
	together(len(all), func(i int) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		givesUp := i%2 == 0
		if givesUp {
			defer time.AfterFunc(time.Duration(i)*50*time.Microsecond, cancel).Stop()
		}
		switch err := s.Orders.Add(ctx, all[i]); {
		case err == nil:
		case givesUp && errors.Is(err, context.Canceled):
			mu.Lock()
			defer mu.Unlock()
			open = append(open, all[i])
		default:
			t.Errorf("add order %s beside others that give up: %v", all[i].ID, err)
		}
	})
	for _, order := range open {
		if err := s.Orders.Add(ctx, order); err != nil && !errors.Is(err, ports.ErrExists) {
			t.Errorf("add order %s again: error %v, want none or one that wraps %q", order.ID, err, ports.ErrExists)
		}
	}
	for _, order := range all {
		checkKept(t, s, order)
	}
	checkOutbox(t, s, created(all)...)
}

// An adapter may write the orders of several callers in one go, and one that
// is refused must not take its neighbours with it.
func addAnswersEach(t testing.TB, s Store) {
	all := orders(t, 1, 40)
	known := map[domain.OrderID]bool{}
	for i := 0; i < len(all); i += 3 {
		addAll(t, s, all[i])
		known[all[i].ID] = true
	}
	ctx := bounded(t)
	together(len(all), func(i int) {
		err := s.Orders.Add(ctx, all[i])
		if known[all[i].ID] && !errors.Is(err, ports.ErrExists) {
			t.Errorf("add of a known order beside others: error %v, want one that wraps %q", err, ports.ErrExists)
		}
		if !known[all[i].ID] && err != nil {
			t.Errorf("add of a new order beside others: %v", err)
		}
	})
	for _, order := range all {
		checkKept(t, s, order)
	}
	checkOutbox(t, s, created(all)...)
}

func addOutlivesContext(t testing.TB, s Store) {
	want := order(t, 1)
	ctx, cancel := context.WithCancel(bounded(t))
	err := s.Orders.Add(ctx, want)
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(quiet)
	checkKept(t, s, want)
	checkOutbox(t, s, want.Created())
}

func addEnded(t testing.TB, s Store) {
	o := order(t, 1)
	checkEnded(t, "Add", func(ctx context.Context) error { return s.Orders.Add(ctx, o) })
	checkNotFound(t, s, o.ID)
	checkList(t, s, ports.OrderQuery{Limit: 10})
	checkOutbox(t, s)
	addAll(t, s, o)
	checkKept(t, s, o)
}

func getUnknown(t testing.TB, s Store) {
	checkNotFound(t, s, orderID(1))
	addAll(t, s, order(t, 1))
	checkNotFound(t, s, orderID(2))
	checkNotFound(t, s, "no-uuid")
}

func checkNotFound(t testing.TB, s Store, id domain.OrderID) {
	t.Helper()
	got, err := s.Orders.Get(bounded(t), id)
	checkError(t, "get an unknown order", err, ports.ErrNotFound, string(id))
	if got != (domain.Order{}) {
		t.Errorf("get an unknown order: got %+v beside the error", got)
	}
}

func readEnded(t testing.TB, s Store) {
	addAll(t, s, order(t, 1))
	checkEnded(t, "Get", func(ctx context.Context) error {
		_, err := s.Orders.Get(ctx, orderID(1))
		return err
	})
	checkEnded(t, "List", func(ctx context.Context) error {
		_, err := s.Orders.List(ctx, ports.OrderQuery{Limit: 1})
		return err
	})
}

func storeAtOnce(t testing.TB, s Store) {
	const callers, each = 8, 5
	ctx := bounded(t)
	together(callers, func(c int) {
		outbox := s.Outbox
		if c%2 == 0 {
			outbox = s.Other
		}
		for i := range each {
			mine := order(t, c*each+i)
			_, list := s.Orders.List(ctx, ports.OrderQuery{Limit: 10})
			add := s.Orders.Add(ctx, mine)
			_, get := s.Orders.Get(ctx, mine.ID)
			_, claim := outbox.Claim(ctx, 1)
			mark := outbox.MarkPublished(ctx, mine.Created().ID)
			if err := errors.Join(list, add, get, claim, mark); err != nil {
				t.Error(fmt.Errorf("beside other calls: %w", err))
				return
			}
		}
	})
	all := orders(t, 0, callers*each)
	for _, order := range all {
		checkKept(t, s, order)
	}
	checkOutbox(t, s)
}
