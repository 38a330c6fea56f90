package porttest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func listClauses() []Clause[Store] {
	return []Clause[Store]{
		{"List of an empty store is one empty page", listEmpty},
		{"List returns the newest first, and of one time the highest id", listNewestFirst},
		{"List goes on where the page before ended, whatever the size of the pages", listPages},
		{"List visits once each order that was there, while others are added", listWhileAdding},
		{"List returns only the user's orders, where one is asked for", listOfUser},
		{"List takes a limit out of range as the nearer end", listLimit},
		{"List refuses a cursor that it did not give out", listInvalidCursor},
		{"List leaves what it returned to the caller", listSlices},
	}
}

// tied returns count orders, five of each time, in no order.
func tied(t testing.TB, n, count int) []domain.Order {
	t.Helper()
	list := orders(t, n, count)
	for i := range list {
		list[i].CreatedAt = epoch.Add(time.Duration((n+i)*7%count/5) * time.Millisecond)
	}
	return list
}

func sorted(orders []domain.Order) []domain.Order {
	return slices.SortedFunc(slices.Values(orders), func(a, b domain.Order) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		if a.ID > b.ID {
			return -1
		}
		return 1
	})
}

// list follows the cursors from the page that query asks for to the last, and
// calls between before each further page.
func list(t testing.TB, s Store, query ports.OrderQuery, between func()) []domain.Order {
	t.Helper()
	return follow(t, query, query.Limit, query.Cursor, func(cursor string) ([]domain.Order, string, error) {
		query.Cursor = cursor
		page, err := s.Orders.List(bounded(t), query)
		if page.Unreadable != 0 {
			t.Errorf("list %+v: %d records can't be read, want none", query, page.Unreadable)
		}
		return page.Orders, page.NextCursor, err
	}, between)
}

// follow returns what the pages of a list have, from the cursor to the last,
// and calls between before each further page.
func follow[T any](t testing.TB, query any, limit int, cursor string, fetch func(cursor string) ([]T, string, error), between func()) []T {
	t.Helper()
	const tooMany = 1000
	limit = min(max(limit, 1), ports.MaxListLimit)
	var all []T
	for range tooMany {
		page, next, err := fetch(cursor)
		if err != nil {
			t.Fatalf("list %+v from %q: %v", query, cursor, err)
		}
		if len(page) > limit {
			t.Fatalf("list %+v from %q: a page of %d, want at most %d", query, cursor, len(page), limit)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		cursor = next
		between()
	}
	t.Fatalf("list %+v: still no last page after %d", query, tooMany)
	return nil
}

func checkList(t testing.TB, s Store, query ports.OrderQuery, want ...domain.Order) {
	t.Helper()
	got := list(t, s, query, func() {})
	if slices.Equal(want, got) {
		return
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("list of user %q, limit %d (-want +got):\n%s", query.UserID, query.Limit, diff)
	}
}

func listEmpty(t testing.TB, s Store) {
	for _, user := range []string{"", "user"} {
		page, err := s.Orders.List(bounded(t), ports.OrderQuery{UserID: user, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Orders) != 0 || page.NextCursor != "" {
			t.Errorf("list of user %q: %+v, want an empty page", user, page)
		}
	}
}

func listNewestFirst(t testing.TB, s Store) {
	all := append(hardOrders(t), tied(t, 100, 20)...)
	addAll(t, s, all...)
	checkList(t, s, ports.OrderQuery{Limit: ports.MaxListLimit}, sorted(all)...)
}

func listPages(t testing.TB, s Store) {
	all := tied(t, 1, 20)
	addAll(t, s, all...)
	for _, limit := range []int{1, 2, 5, 7, 19, 20, 21} {
		checkList(t, s, ports.OrderQuery{Limit: limit}, sorted(all)...)
		checkList(t, s, ports.OrderQuery{UserID: all[0].UserID, Limit: limit}, sorted(all)...)
	}
}

func listWhileAdding(t testing.TB, s Store) {
	for _, user := range []string{"", "user"} {
		n := 1000 * (len(user) + 1) // orders of their own for each
		before := tied(t, n, 25)
		addAll(t, s, before...)
		added := n + 100
		got := list(t, s, ports.OrderQuery{UserID: user, Limit: 4}, func() {
			more := tied(t, added, 25)[:4] // among those that are there
			more[0].CreatedAt = epoch.Add(time.Hour)
			more[1].CreatedAt = epoch.Add(-time.Hour)
			added += len(more)
			if added < n+140 {
				addAll(t, s, more...)
			}
		})
		if !slices.Equal(got, sorted(got)) {
			t.Error("pages are not newest first")
		}
		for _, order := range before {
			if count := countOrder(got, order.ID); count != 1 {
				t.Errorf("order %s, there from the start, was listed %d times, want once", order.ID, count)
			}
		}
		for _, order := range got {
			if count := countOrder(got, order.ID); count > 1 {
				t.Errorf("order %s was listed %d times", order.ID, count)
			}
		}
	}
}

func countOrder(orders []domain.Order, id domain.OrderID) (count int) {
	for _, order := range orders {
		if order.ID == id {
			count++
		}
	}
	return count
}

func listOfUser(t testing.TB, s Store) {
	users := []string{"ann", "Ann", "ann ", "an", "ann2", ".*", `{"$gt":""}`, "a\u0308nn", "\u00e4nn"}
	all := orders(t, 1, 3*len(users))
	of := map[string][]domain.Order{}
	for i := range all {
		user := users[i%len(users)]
		all[i].UserID = user
		of[user] = append(of[user], all[i])
	}
	addAll(t, s, all...)
	for _, user := range append(users, "nobody") {
		checkList(t, s, ports.OrderQuery{UserID: user, Limit: 2}, sorted(of[user])...)
	}
	checkList(t, s, ports.OrderQuery{Limit: 2}, sorted(all)...)
}

func listLimit(t testing.TB, s Store) {
	all := orders(t, 1, ports.MaxListLimit+2)
	addAll(t, s, all...)
	first := func(limit int) []domain.Order {
		page, err := s.Orders.List(bounded(t), ports.OrderQuery{Limit: limit})
		if err != nil {
			t.Fatalf("list with limit %d: %v", limit, err)
		}
		return page.Orders
	}
	for limit, nearer := range map[int]int{
		0: 1, -1: 1, -1 << 31: 1,
		ports.MaxListLimit + 1: ports.MaxListLimit, 1<<31 - 1: ports.MaxListLimit,
	} {
		if want, got := first(nearer), first(limit); !slices.Equal(want, got) {
			t.Errorf("list with limit %d: %d orders, want the %d of limit %d", limit, len(got), len(want), nearer)
		}
	}
	checkList(t, s, ports.OrderQuery{Limit: ports.MaxListLimit}, sorted(all)...)
}

func listInvalidCursor(t testing.TB, s Store) {
	addAll(t, s, orders(t, 1, 3)...)
	page, err := s.Orders.List(bounded(t), ports.OrderQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	given := page.NextCursor
	if given == "" {
		t.Fatal("no cursor on the first page of three")
	}
	for _, cursor := range []string{
		"x", "0", "1", "AAAA", "!!", " ", "null", "{}", "\xff", "é",
		string(orderID(1)), given[1:], given[:len(given)-1], given + given, given + "=",
	} {
		page, err := s.Orders.List(bounded(t), ports.OrderQuery{Limit: 1, Cursor: cursor})
		if !errors.Is(err, ports.ErrInvalidCursor) {
			t.Errorf("cursor %q: error %v, want one that wraps %q", cursor, err, ports.ErrInvalidCursor)
		}
		if len(page.Orders) > 0 || page.NextCursor != "" {
			t.Errorf("cursor %q: got %+v beside the error", cursor, page)
		}
	}
}

func listSlices(t testing.TB, s Store) {
	all := orders(t, 1, 4)
	addAll(t, s, all...)
	for range 2 {
		page, err := s.Orders.List(bounded(t), ports.OrderQuery{Limit: 4})
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Orders {
			page.Orders[i].Product = "changed by the caller"
		}
		checkList(t, s, ports.OrderQuery{Limit: 4}, sorted(all)...)
	}
}
