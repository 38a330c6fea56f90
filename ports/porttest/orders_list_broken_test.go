package porttest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// listed makes a store that changes each page of its List.
func listed(change func(page *ports.OrderPage, query ports.OrderQuery)) func() porttest.Store {
	return faulty(func(f *faultyStore) { changeResult(&f.list, change) })
}

// listing makes a store whose List changes the query.
func listing(change func(query *ports.OrderQuery)) func() porttest.Store {
	return faulty(func(f *faultyStore) { changeArgument(&f.list, change) })
}

// picking makes a store whose cursors count matching orders from the newest.
func picking(matches func(order domain.Order, query ports.OrderQuery) bool) func() porttest.Store {
	return faulty(func(f *faultyStore) {
		f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
			all, err := everyPage(func(cursor string) ([]domain.Order, string, error) {
				page, err := f.store.List(ctx, ports.OrderQuery{Limit: ports.MaxListLimit, Cursor: cursor})
				return page.Orders, page.NextCursor, err
			})
			if err != nil {
				return ports.OrderPage{}, err
			}
			all = slices.DeleteFunc(all, func(order domain.Order) bool { return !matches(order, query) })
			page, next, err := countedPage(all, query.Limit, query.Cursor)
			return ports.OrderPage{Orders: page, NextCursor: next}, err
		}
	})
}

// everyPage returns the items of all pages.
func everyPage[T any](list func(cursor string) ([]T, string, error)) (all []T, err error) {
	for cursor := ""; ; {
		page, next, err := list(cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if cursor = next; cursor == "" {
			return all, nil
		}
	}
}

// countedPage returns the page at the cursor, which is an index.
func countedPage[T any](all []T, limit int, cursor string) (page []T, next string, err error) {
	const form = "from-%06d"
	from := 0
	if cursor != "" {
		if _, err := fmt.Sscanf(cursor, form, &from); err != nil || cursor != fmt.Sprintf(form, from) {
			return nil, "", fmt.Errorf("list: %w", ports.ErrInvalidCursor)
		}
	}
	end := min(from+min(max(limit, 1), ports.MaxListLimit), len(all))
	if end < len(all) {
		next = fmt.Sprintf(form, end)
	}
	return all[min(from, end):end], next, nil
}

func brokenLists() []broken[porttest.Store] {
	const (
		pages     = "List of orders continues after the page before, for pages of any size"
		newest    = "List sorts orders by their time, the newest first, and by id within one time, the highest first"
		steady    = "List returns each order that existed at the start once, while others are added"
		user      = "List returns only the user's orders, if the query names a user"
		limits    = "List of orders replaces a limit that is out of range by the nearer bound"
		period    = "List returns only orders that were created from a time on and before another, if the query names them"
		other     = "List refuses the cursor of a page with another user or other times"
		anyCursor = "its cursors don't have the query"
		everyList = "every clause that lists orders"
	)
	return []broken[porttest.Store]{
		{"List counts the orders of a page as unreadable", pages, everyList, listed(func(page *ports.OrderPage, _ ports.OrderQuery) {
			page.Unreadable = len(page.Orders)
		})},
		{"List skips the orders of the same time as the last of a page", pages, "other clauses list orders of one time", faulty(func(f *faultyStore) {
			var ends shared[string, time.Time]
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				page, err := f.store.List(ctx, query)
				if len(page.Orders) > 0 {
					ends.set(page.NextCursor, page.Orders[len(page.Orders)-1].CreatedAt)
				}
				if end, ok := ends.get(query.Cursor); ok && query.Cursor != "" {
					page.Orders = slices.DeleteFunc(page.Orders, func(o domain.Order) bool { return o.CreatedAt.Equal(end) })
				}
				return page, err
			}
		})},
		{"List counts its pages from the newest order", steady, anyCursor, picking(func(order domain.Order, query ports.OrderQuery) bool {
			return query.UserID == "" || query.UserID == order.UserID
		})},
		{"List returns the oldest order first", newest, everyList, listed(func(page *ports.OrderPage, _ ports.OrderQuery) {
			slices.SortFunc(page.Orders, func(a, b domain.Order) int { return a.CreatedAt.Compare(b.CreatedAt) })
		})},
		{"List returns the lowest id of one time first", newest, "other clauses list orders of one time", listed(func(page *ports.OrderPage, _ ports.OrderQuery) {
			slices.SortFunc(page.Orders, func(a, b domain.Order) int {
				return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
			})
		})},
		{"List ignores the user", user, anyCursor, listing(func(query *ports.OrderQuery) { query.UserID = "" })},

		{"List ignores the user after the first page", user, anyCursor, listing(func(query *ports.OrderQuery) {
			if query.Cursor != "" {
				query.UserID = ""
			}
		})},
		{"List ignores from when orders were created", period, anyCursor, picking(func(order domain.Order, query ports.OrderQuery) bool {
			return (query.UserID == "" || query.UserID == order.UserID) && (query.CreatedTo.IsZero() || order.CreatedAt.Before(query.CreatedTo))
		})},
		{"List includes the end of the period", period, anyCursor, picking(func(order domain.Order, query ports.OrderQuery) bool {
			late := !query.CreatedTo.IsZero() && order.CreatedAt.After(query.CreatedTo)
			return (query.UserID == "" || query.UserID == order.UserID) && !late && !order.CreatedAt.Before(query.CreatedFrom)
		})},
		{"List truncates times to the millisecond", period, "", listing(func(query *ports.OrderQuery) {
			query.CreatedFrom, query.CreatedTo = query.CreatedFrom.Truncate(time.Millisecond), query.CreatedTo.Truncate(time.Millisecond)
		})},
		{"List takes the cursor of another query", other, "its pages count from the newest order", picking(func(order domain.Order, query ports.OrderQuery) bool {
			late := !query.CreatedTo.IsZero() && !order.CreatedAt.Before(query.CreatedTo)
			return (query.UserID == "" || query.UserID == order.UserID) && !late && !order.CreatedAt.Before(query.CreatedFrom)
		})},
		{"List ignores the case of user ids", user, "the pages count from the newest order", picking(func(order domain.Order, query ports.OrderQuery) bool {
			return query.UserID == "" || strings.EqualFold(query.UserID, order.UserID)
		})},
		{"List starts anew at an unknown cursor", "List of orders refuses a cursor that it did not return", "a cursor of another query is unknown, too", faulty(func(f *faultyStore) {
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				page, err := f.store.List(ctx, query)
				if errors.Is(err, ports.ErrInvalidCursor) {
					query.Cursor = ""
					return f.store.List(ctx, query)
				}
				return page, err
			}
		})},
		{"List has no largest page", limits, "", faulty(func(f *faultyStore) {
			f.list = func(ctx context.Context, query ports.OrderQuery) (page ports.OrderPage, err error) {
				if query.Limit <= ports.MaxListLimit {
					return f.store.List(ctx, query)
				}
				page.Orders, err = everyPage(func(cursor string) ([]domain.Order, string, error) {
					page, err := f.store.List(ctx, ports.OrderQuery{UserID: query.UserID, Limit: ports.MaxListLimit, Cursor: cursor})
					return page.Orders, page.NextCursor, err
				})
				return page, err
			}
		})},
		{"List with a limit of 0 returns nothing", limits, "", listed(func(page *ports.OrderPage, query ports.OrderQuery) {
			if query.Limit <= 0 {
				*page = ports.OrderPage{}
			}
		})},
		{"List of no orders returns ErrNotFound", "List of no orders is one empty page", "every clause that lists none", faulty(func(f *faultyStore) {
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				page, err := f.store.List(ctx, query)
				if err == nil && len(page.Orders) == 0 {
					err = fmt.Errorf("list orders: %w", ports.ErrNotFound)
				}
				return page, err
			}
		})},
		{"List returns the same slice again", "List shares no memory with its caller", "", faulty(func(f *faultyStore) {
			var pages shared[ports.OrderQuery, ports.OrderPage]
			f.add = func(ctx context.Context, order domain.Order, origin domain.Origin) error {
				pages.do(func(pages map[ports.OrderQuery]ports.OrderPage) { clear(pages) })
				return f.store.Add(ctx, order, origin)
			}
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				page, err := f.store.List(ctx, query)
				if err == nil {
					page, _ = pages.once(query, page)
				}
				return page, err
			}
		})},
		{"List ignores its context", "Get and List with an ended context return its error", "", faulty(func(f *faultyStore) { ignoreContext(&f.list) })},
	}
}
