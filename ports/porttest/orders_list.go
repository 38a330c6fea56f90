package porttest

import (
	"context"
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
	checkEqual(t, fmt.Sprintf("list of user %q with limit %d", query.UserID, query.Limit), want, got)
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
