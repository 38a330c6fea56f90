package porttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// add adds the orders, many at once.
func add(t testing.TB, s Store, orders ...domain.Order) {
	t.Helper()
	forEach(t, orders, func(ctx context.Context, order domain.Order) error {
		if err := s.Orders.Add(ctx, order, originOf(order)); err != nil {
			return fmt.Errorf("add order %s: %w", order.ID, err)
		}
		return nil
	})
}

// addEvents adds count orders from the nth on, one after the other, and returns
// their events.
func addEvents(t testing.TB, s Store, n, count int) []domain.Event {
	t.Helper()
	all := events(n, count)
	for _, event := range all {
		add(t, s, event.Order)
	}
	return all
}

func checkKept(t testing.TB, s Store, orders ...domain.Order) {
	t.Helper()
	for _, want := range orders {
		got, err := s.Orders.Get(bounded(t), want.ID)
		if err != nil {
			t.Errorf("get order %s, which was added: %v", want.ID, err)
			continue
		}
		checkEqual(t, "order "+string(want.ID), want, got)
	}
}

func checkNotFound(t testing.TB, s Store, id domain.OrderID) {
	t.Helper()
	got, err := s.Orders.Get(bounded(t), id)
	checkError(t, "get unknown order", err, ports.ErrNotFound, id)
	checkEqual(t, "order with the error for unknown order "+string(id), domain.Order{}, got)
}

var ordersAdd = []Clause[Store]{
	{"Add keeps an order, and Get returns it with every field as it was added", func(t testing.TB, s Store) {
		want := hardOrders()
		for _, order := range want {
			add(t, s, order)
			checkKept(t, s, order)
		}
		checkKept(t, s, want...)
	}},

	{"Add puts the order's event into the outbox", func(t testing.TB, s Store) {
		add(t, s, hardOrders()...)
		checkOutbox(t, s, created(hardOrders())...)
	}},

	{"Add keeps the origin with the event, without the fields that break a rule", func(t testing.TB, s Store) {
		var want []domain.Event
		add := func(origin, kept domain.Origin) {
			event := order(len(want)).Created()
			event.Origin = kept
			want = append(want, event)
			must(t, "add order "+string(event.Order.ID), s.Orders.Add(bounded(t), event.Order, origin))
			checkKept(t, s, event.Order)
		}
		for _, origin := range hardOrigins() {
			add(origin, origin)
		}
		for origin, kept := range brokenOrigins() {
			add(origin, kept)
		}
		for range 2 { // each time it is claimed
			for _, got := range awaitFree(t, s.Other, eventIDs(want)...) {
				if i := slices.Index(eventIDs(want), got.ID); i >= 0 {
					checkEqual(t, "event "+string(got.ID)+" in the outbox", want[i], got)
				}
			}
			release(t, s, time.Now().Add(-time.Hour), eventIDs(want)...)
		}
		checkOutbox(t, s, want...)
	}},

	{"Add refuses a known id, and leaves the order as it is", func(t testing.TB, s Store) {
		first := order(1)
		add(t, s, first)
		for _, again := range []domain.Order{first, newOrder(1, "another", "other", 7, epoch.Add(time.Hour))} {
			checkError(t, "add known order", s.Orders.Add(bounded(t), again, originOf(again)), ports.ErrExists, first.ID)
			checkKept(t, s, first)
		}
		checkList(t, s, ports.OrderQuery{Limit: 10}, first)
		checkOutbox(t, s, eventOf(first))
	}},

	{"a refused Add does not bring back a published event", func(t testing.TB, s Store) {
		first := order(1)
		add(t, s, first)
		mark(t, s.Outbox, first.Created().ID)
		checkError(t, "add known order", s.Orders.Add(bounded(t), first, originOf(first)), ports.ErrExists, first.ID)
		checkOutbox(t, s)
	}},

	{"Add of one id by many callers keeps one order, and refuses the others", func(t testing.TB, s Store) {
		all := orders(1, 32)
		for i := range all {
			all[i].ID = all[0].ID
		}
		winner, fault := onlyOne(t, "add order "+string(all[0].ID), len(all), ports.ErrExists, func(ctx context.Context, i int) error {
			return s.Orders.Add(ctx, all[i], originOf(all[i]))
		})
		if fault != "" {
			t.Fatal(fault)
		}
		checkKept(t, s, all[winner])
		checkList(t, s, ports.OrderQuery{Limit: 10}, all[winner])
		checkOutbox(t, s, eventOf(all[winner]))
	}},

	// An adapter may write the orders of several callers together. A refused
	// order must not affect the others.
	{"Add answers each of many callers for its own order", func(t testing.TB, s Store) {
		all := orders(1, 40)
		known := func(i int) bool { return i%3 == 0 }
		for i := range all {
			if known(i) {
				add(t, s, all[i])
			}
		}
		ctx := bounded(t)
		together(len(all), func(i int) {
			err := s.Orders.Add(ctx, all[i], originOf(all[i]))
			if known(i) && !errors.Is(err, ports.ErrExists) {
				t.Errorf("add known order %s together with new ones: error %v, want an error that wraps %q", all[i].ID, err, ports.ErrExists)
			}
			if !known(i) && err != nil {
				t.Errorf("add new order %s together with known ones: %v", all[i].ID, err)
			}
		})
		checkKept(t, s, all...)
		checkOutbox(t, s, created(all)...)
	}},

	{"Add keeps the order although its context ends afterwards", func(t testing.TB, s Store) {
		want := order(1)
		ctx, cancel := context.WithCancel(bounded(t))
		err := s.Orders.Add(ctx, want, originOf(want))
		cancel()
		must(t, "add order", err)
		time.Sleep(quiet)
		checkKept(t, s, want)
		checkOutbox(t, s, eventOf(want))
	}},

	{"Add with an ended context keeps neither the order nor its event", func(t testing.TB, s Store) {
		o := order(1)
		checkEnded(t, "Add", func(ctx context.Context) error { return s.Orders.Add(ctx, o, originOf(o)) })
		checkNotFound(t, s, o.ID)
		checkList(t, s, ports.OrderQuery{Limit: 10})
		checkOutbox(t, s)
		add(t, s, o)
		checkKept(t, s, o)
	}},

	// A caller that gives up may leave an order behind, but never an order
	// without its event.
	{"Add whose context ends during the call does not affect other calls, and can be repeated", func(t testing.TB, s Store) {
		all := orders(1, 200)
		ctx := bounded(t)
		var mu sync.Mutex
		var unknown []domain.Order
		together(len(all), func(i int) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			givesUp := i%2 == 0
			if givesUp {
				defer time.AfterFunc(time.Duration(i)*50*time.Microsecond, cancel).Stop()
			}
			switch err := s.Orders.Add(ctx, all[i], originOf(all[i])); {
			case err == nil:
			case givesUp && errors.Is(err, context.Canceled):
				mu.Lock()
				defer mu.Unlock()
				unknown = append(unknown, all[i])
			default:
				t.Errorf("add order %s during calls that give up: %v", all[i].ID, err)
			}
		})
		for _, order := range unknown {
			if err := s.Orders.Add(ctx, order, originOf(order)); err != nil && !errors.Is(err, ports.ErrExists) {
				t.Errorf("add order %s again: error %v, want nil or an error that wraps %q", order.ID, err, ports.ErrExists)
			}
		}
		checkKept(t, s, all...)
		checkOutbox(t, s, created(all)...)
	}},

	{"Get finds nothing under an unknown id", func(t testing.TB, s Store) {
		checkNotFound(t, s, orderID(1))
		add(t, s, order(1))
		checkNotFound(t, s, orderID(2))
		checkNotFound(t, s, "no-uuid")
	}},

	{"Get and List with an ended context return its error", func(t testing.TB, s Store) {
		add(t, s, order(1))
		checkEnded(t, "Get", func(ctx context.Context) error { return errorOf(s.Orders.Get(ctx, orderID(1))) })
		checkEnded(t, "List", func(ctx context.Context) error { return errorOf(s.Orders.List(ctx, ports.OrderQuery{Limit: 1})) })
	}},

	{"the store's methods may be called from several goroutines at once", func(t testing.TB, s Store) {
		const callers, each = 8, 5
		all := orders(0, callers*each)
		ctx := bounded(t)
		together(callers, func(c int) {
			outbox := either(c, s.Outbox, s.Other)
			for _, mine := range all[c*each : (c+1)*each] {
				_, list := s.Orders.List(ctx, ports.OrderQuery{Limit: 10})
				add := s.Orders.Add(ctx, mine, originOf(mine))
				_, get := s.Orders.Get(ctx, mine.ID)
				_, claim := outbox.Claim(ctx, 1)
				mark := outbox.MarkPublished(ctx, mine.Created().ID)
				if err := errors.Join(list, add, get, claim, mark); err != nil {
					t.Errorf("order %s during other calls: %v", mine.ID, err)
					return
				}
			}
		})
		checkKept(t, s, all...)
		checkOutbox(t, s)
	}},
}
