package porttest

import (
	"context"
	"errors"
	"testing"

	"example.com/orderflow/ports"
)

// lister is a method List that returns pages of orders or of dead letters. A is the
// adapter, Q a query and T an item of the list.
type lister[A, Q, T any] struct {
	items   string                                                   // "orders" or "dead letters"
	queries []Q                                                      // each asks for every item that fill adds
	with    func(query Q, limit int, cursor string) Q                // the query, of this page
	fill    func(t testing.TB, a A, count int) []T                   // adds items, several of each time, and returns them in List's order
	page    func(ctx context.Context, a A, q Q) ([]T, string, error) // calls List
	check   func(t testing.TB, a A, query Q, want ...T)              // fails t unless the query's pages have these items
	id      func(T) string
}

// clauses returns the contract's clauses about pages.
func (l lister[A, Q, T]) clauses() []Clause[A] {
	first := func(t testing.TB, a A, limit int) ([]T, string) {
		t.Helper()
		page, next, err := l.page(bounded(t), a, l.with(l.queries[0], limit, ""))
		must(t, "list "+l.items, err)
		return page, next
	}
	return []Clause[A]{
		{"List of no " + l.items + " is one empty page", func(t testing.TB, a A) {
			for _, query := range l.queries {
				page, next, err := l.page(bounded(t), a, l.with(query, 10, ""))
				must(t, "list "+l.items, err)
				if len(page) != 0 || next != "" {
					t.Errorf("list %+v: %d %s and cursor %q, want an empty page without a cursor", query, len(page), l.items, next)
				}
			}
		}},

		{"List of " + l.items + " continues after the page before, for pages of any size", func(t testing.TB, a A) {
			all := l.fill(t, a, 20)
			for _, limit := range []int{1, 2, 5, 7, 19, 20, 21} {
				for _, query := range l.queries {
					l.check(t, a, l.with(query, limit, ""), all...)
				}
			}
		}},

		{"List of " + l.items + " replaces a limit that is out of range by the nearer bound", func(t testing.TB, a A) {
			all := l.fill(t, a, ports.MaxListLimit+2)
			for limit, nearer := range map[int]int{
				0: 1, -1: 1, -1 << 31: 1,
				ports.MaxListLimit + 1: ports.MaxListLimit, 1<<31 - 1: ports.MaxListLimit,
			} {
				page, next := first(t, a, limit)
				if len(page) != nearer || next == "" {
					t.Errorf("list with limit %d: %d %s and cursor %q, want %d and a cursor", limit, len(page), l.items, next, nearer)
					continue
				}
				for i, item := range page {
					if l.id(item) != l.id(all[i]) {
						t.Fatalf("list with limit %d: %s in place %d, want %s", limit, l.id(item), i, l.id(all[i]))
					}
				}
			}
			l.check(t, a, l.with(l.queries[0], ports.MaxListLimit, ""), all...)
		}},

		{"List of " + l.items + " refuses a cursor that it did not return", func(t testing.TB, a A) {
			l.fill(t, a, 3)
			_, given := first(t, a, 1)
			if given == "" {
				t.Fatalf("no cursor on the first page of three %s", l.items)
			}
			for _, cursor := range []string{
				"x", "0", "1", "AAAA", "AAAAAAAAAAAAAAAA", "!!", " ", "null", "{}", "\xff", "\u00e9", string(orderID(1)), string(event(1).ID),
				given[1:], given[:len(given)-1], given[:len(given)-4], given + given, given + "=", given + "AAAA",
			} {
				page, next, err := l.page(bounded(t), a, l.with(l.queries[0], 1, cursor))
				if !errors.Is(err, ports.ErrInvalidCursor) {
					t.Errorf("cursor %q: error %v, want an error that wraps %q", cursor, err, ports.ErrInvalidCursor)
				}
				if len(page) > 0 || next != "" {
					t.Errorf("cursor %q: %d %s and cursor %q with the error, want nothing", cursor, len(page), l.items, next)
				}
			}
		}},
	}
}

// follow returns the items of all pages. It calls between before each page except
// the first.
func (l lister[A, Q, T]) follow(t testing.TB, a A, query Q, limit int, between func()) []T {
	t.Helper()
	const tooMany = 1000
	var all []T
	cursor := ""
	for range tooMany {
		page, next, err := l.page(bounded(t), a, l.with(query, limit, cursor))
		if err != nil {
			t.Fatalf("list %+v from cursor %q: %v", query, cursor, err)
		}
		if len(page) > min(max(limit, 1), ports.MaxListLimit) {
			t.Fatalf("list %+v from cursor %q: a page of %d, want at most %d", query, cursor, len(page), limit)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		cursor = next
		between()
	}
	t.Fatalf("list %+v: no last page among %d", query, tooMany)
	return nil
}

// checkVisited fails t unless listed has each of the steady ids once, has no id
// twice, and is sorted. It was read while other items were added.
func checkVisited[T any](t testing.TB, query any, id func(T) string, listed, sorted []T, steady []T) {
	t.Helper()
	count := map[string]int{}
	for i, item := range listed {
		if count[id(item)]++; count[id(item)] > 1 {
			t.Errorf("list %+v: %s was listed %d times, want once", query, id(item), count[id(item)])
		}
		if id(item) != id(sorted[i]) {
			t.Errorf("list %+v: %s in place %d, want %s", query, id(item), i, id(sorted[i]))
		}
	}
	for _, item := range steady {
		if count[id(item)] == 0 {
			t.Errorf("list %+v: %s, which matched throughout, was not listed", query, id(item))
		}
	}
}
