package porttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// tied returns count orders, five of each time, unsorted.
func tied(n, count int) []domain.Order {
	list := orders(n, count)
	for i := range list {
		list[i].CreatedAt = epoch.Add(time.Duration((n+i)*7%count/5) * time.Millisecond)
	}
	return list
}

// sorted returns the orders in List's order.
func sorted(orders []domain.Order) []domain.Order {
	return slices.SortedFunc(slices.Values(orders), func(a, b domain.Order) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(string(b.ID), string(a.ID))
	})
}

func listerOfOrders() lister[Store, ports.OrderQuery, domain.Order] {
	return lister[Store, ports.OrderQuery, domain.Order]{
		items:   "orders",
		queries: []ports.OrderQuery{{}, {UserID: "user"}},
		with: func(query ports.OrderQuery, limit int, cursor string) ports.OrderQuery {
			query.Limit, query.Cursor = limit, cursor
			return query
		},
		fill: func(t testing.TB, s Store, count int) []domain.Order {
			all := tied(1, count)
			add(t, s, all...)
			return sorted(all)
		},
		page: func(ctx context.Context, s Store, query ports.OrderQuery) ([]domain.Order, string, error) {
			page, err := s.Orders.List(ctx, query)
			if err == nil && page.Unreadable != 0 {
				err = fmt.Errorf("%d records count as unreadable, want 0", page.Unreadable)
			}
			return page.Orders, page.NextCursor, err
		},
		check: checkList,
		id:    func(order domain.Order) string { return string(order.ID) },
	}
}

func checkList(t testing.TB, s Store, query ports.OrderQuery, want ...domain.Order) {
	t.Helper()
	got := listerOfOrders().follow(t, s, query, query.Limit, func() {})
	checkEqual(t, fmt.Sprintf("list %+v", query), want, got)
}

var ordersList = append(listerOfOrders().clauses(), []Clause[Store]{
	{"List sorts orders by their time, the newest first, and by id within one time, the highest first", func(t testing.TB, s Store) {
		all := append(hardOrders(), tied(100, 20)...)
		add(t, s, all...)
		checkList(t, s, ports.OrderQuery{Limit: ports.MaxListLimit}, sorted(all)...)
	}},

	{"List returns each order that existed at the start once, while others are added", func(t testing.TB, s Store) {
		for i, query := range listerOfOrders().queries {
			n := 1000 * (i + 1) // other orders for each query
			before := tied(n, 25)
			add(t, s, before...)
			added := n + 100
			got := listerOfOrders().follow(t, s, query, 4, func() {
				more := tied(added, 25)[:4] // sorted among the orders before
				more[0].CreatedAt = epoch.Add(time.Hour)
				more[1].CreatedAt = epoch.Add(-time.Hour)
				added += len(more)
				if added < n+140 {
					add(t, s, more...)
				}
			})
			checkVisited(t, query, listerOfOrders().id, got, sorted(got), before)
		}
	}},

	{"List returns only the user's orders, if the query names a user", func(t testing.TB, s Store) {
		users := []string{"ann", "Ann", "ann ", "an", "ann2", ".*", `{"$gt":""}`, "a\u0308nn", "\u00e4nn"}
		all := orders(1, 3*len(users))
		of := map[string][]domain.Order{}
		for i := range all {
			user := users[i%len(users)]
			all[i].UserID = user
			of[user] = append(of[user], all[i])
		}
		add(t, s, all...)
		for _, user := range append(users, "nobody") {
			checkList(t, s, ports.OrderQuery{UserID: user, Limit: 2}, sorted(of[user])...)
		}
		checkList(t, s, ports.OrderQuery{Limit: 2}, sorted(all)...)
	}},

	{"List returns only orders that were created from a time on and before another, if the query names them", func(t testing.TB, s Store) {
		all := append(tied(1, 25), hardOrders()[6:]...) // of 5 times from the epoch on, and far from it
		for i := range all {
			all[i].ID, all[i].UserID = orderID(1000+i), []string{"ann", "ben"}[i%2]
		}
		add(t, s, all...)
		at := func(ms float64) time.Time { return epoch.Add(time.Duration(ms * float64(time.Millisecond))) }
		east := time.FixedZone("east", 3*3600)
		for _, period := range [][2]time.Time{
			{at(1), at(3)}, {at(1), {}}, {{}, at(3)}, {at(0), at(1)}, {at(2), at(2)}, {at(3), at(1)}, {at(5), {}}, {{}, at(0)},
			{at(1.5), at(3.5)}, {at(0.000001), at(3.000001)}, {at(1).In(east), at(3).In(east)}, {epoch.AddDate(-500, 0, 0), epoch.AddDate(500, 0, 0)},
		} {
			for _, user := range []string{"", "ann"} {
				var want []domain.Order
				for _, order := range sorted(all) {
					late := !period[1].IsZero() && !order.CreatedAt.Before(period[1])
					if !late && !order.CreatedAt.Before(period[0]) && (user == "" || user == order.UserID) {
						want = append(want, order)
					}
				}
				for _, limit := range []int{2, 5, 100} {
					checkList(t, s, ports.OrderQuery{UserID: user, CreatedFrom: period[0], CreatedTo: period[1], Limit: limit}, want...)
				}
			}
		}
	}},

	{"List refuses the cursor of a page with another user or other times", func(t testing.TB, s Store) {
		add(t, s, tied(1, 25)...)
		queries := []ports.OrderQuery{
			{}, {UserID: "user"}, {CreatedFrom: epoch}, {CreatedFrom: epoch.Add(-time.Hour)}, {CreatedTo: epoch.Add(time.Hour)},
			{UserID: "user", CreatedFrom: epoch, CreatedTo: epoch.Add(time.Hour)},
		}
		for i, query := range queries {
			query.Limit = 3
			page, err := s.Orders.List(bounded(t), query)
			must(t, "list orders", err)
			if page.NextCursor == "" {
				t.Fatalf("list %+v: no cursor after %d of 25 orders", query, len(page.Orders))
			}
			for j, other := range queries {
				other.Limit, other.Cursor = 2, page.NextCursor
				_, err := s.Orders.List(bounded(t), other)
				if i == j && err != nil {
					t.Errorf("list %+v with its own cursor and another limit: %v", query, err)
				}
				if i != j && !errors.Is(err, ports.ErrInvalidCursor) {
					t.Errorf("list %+v with the cursor of %+v: error %v, want an error that wraps %q", other, query, err, ports.ErrInvalidCursor)
				}
			}
		}
	}},

	{"List shares no memory with its caller", func(t testing.TB, s Store) {
		all := orders(1, 4)
		add(t, s, all...)
		for range 2 {
			page, err := s.Orders.List(bounded(t), ports.OrderQuery{Limit: 4})
			must(t, "list orders", err)
			for i := range page.Orders {
				page.Orders[i].Product = "changed by the caller"
			}
			checkList(t, s, ports.OrderQuery{Limit: 4}, sorted(all)...)
		}
	}},
}...)
