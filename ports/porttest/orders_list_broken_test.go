package porttest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// all returns every order that query asks for.
func all(ctx context.Context, whole store, user string) ([]domain.Order, error) {
	query := ports.OrderQuery{UserID: user, Limit: ports.MaxListLimit}
	var orders []domain.Order
	for {
		page, err := whole.List(ctx, query)
		if err != nil {
			return nil, err
		}
		orders = append(orders, page.Orders...)
		if query.Cursor = page.NextCursor; query.Cursor == "" {
			return orders, nil
		}
	}
}

func brokenLists() []broken[porttest.Store] {
	return []broken[porttest.Store]{
		{name: "List counts what it returns as passed over", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				page, err := whole.List(ctx, query)
				page.Unreadable = len(page.Orders)
				return page, err
			}
		}), fails: []string{
			"List goes on where the page before ended, whatever the size of the pages",
		}, more: true},

		{name: "List skips those of the same time as the last of a page", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			ends := map[string]time.Time{}
			var mu sync.Mutex
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				page, err := whole.List(ctx, query)
				mu.Lock()
				defer mu.Unlock()
				if len(page.Orders) > 0 {
					ends[page.NextCursor] = page.Orders[len(page.Orders)-1].CreatedAt
				}
				if query.Cursor != "" {
					page.Orders = slices.DeleteFunc(page.Orders, func(o domain.Order) bool { return o.CreatedAt.Equal(ends[query.Cursor]) })
				}
				return page, err
			}
		}), fails: []string{
			"List goes on where the page before ended, whatever the size of the pages",
			"List visits once each order that was there, while others are added",
		}},

		{name: "List counts its pages from the newest", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.list = func(ctx context.Context, query ports.OrderQuery) (page ports.OrderPage, err error) {
				const form = "from-%06d"
				from := 0
				if query.Cursor != "" {
					if _, err := fmt.Sscanf(query.Cursor, form, &from); err != nil || fmt.Sprintf(form, from) != query.Cursor {
						return page, fmt.Errorf("list orders: %w", ports.ErrInvalidCursor)
					}
				}
				orders, err := all(ctx, whole, query.UserID)
				if err != nil {
					return page, err
				}
				end := min(from+min(max(query.Limit, 1), ports.MaxListLimit), len(orders))
				if end < len(orders) {
					page.NextCursor = fmt.Sprintf(form, end)
				}
				page.Orders = orders[min(from, end):end]
				return page, nil
			}
		}), fails: []string{
			"List visits once each order that was there, while others are added",
		}},

		{name: "List returns the oldest first", open: rearranging(func(a, b domain.Order) int {
			return a.CreatedAt.Compare(b.CreatedAt)
		}), fails: []string{
			"List returns the newest first, and of one time the highest id",
		}, more: true},

		{name: "List returns the lowest id of one time first", open: rearranging(func(a, b domain.Order) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
		}), fails: []string{
			"List returns the newest first, and of one time the highest id",
			"List goes on where the page before ended, whatever the size of the pages",
			"List visits once each order that was there, while others are added",
		}},

		{name: "List ignores the user", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				query.UserID = ""
				return whole.List(ctx, query)
			}
		}), fails: []string{
			"List returns only the user's orders, where one is asked for",
		}},

		{name: "List ignores the user after the first page", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				if query.Cursor != "" {
					query.UserID = ""
				}
				return whole.List(ctx, query)
			}
		}), fails: []string{
			"List returns only the user's orders, where one is asked for",
		}},

		{name: "List takes users for the same who differ in case", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.list = func(ctx context.Context, query ports.OrderQuery) (page ports.OrderPage, err error) {
				if query.UserID == "" {
					return whole.List(ctx, query)
				}
				one := ports.OrderQuery{Limit: 1, Cursor: query.Cursor}
				for len(page.Orders) < query.Limit {
					found, err := whole.List(ctx, one)
					if err != nil {
						return page, err
					}
					for _, order := range found.Orders {
						if strings.EqualFold(order.UserID, query.UserID) {
							page.Orders = append(page.Orders, order)
						}
					}
					one.Cursor, page.NextCursor = found.NextCursor, found.NextCursor
					if found.NextCursor == "" {
						break
					}
				}
				return page, nil
			}
		}), fails: []string{
			"List returns only the user's orders, where one is asked for",
		}},

		{name: "List starts anew on a cursor that it can't read", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				page, err := whole.List(ctx, query)
				if errors.Is(err, ports.ErrInvalidCursor) {
					query.Cursor = ""
					return whole.List(ctx, query)
				}
				return page, err
			}
		}), fails: []string{
			"List refuses a cursor that it did not give out",
		}},

		{name: "List has no largest page", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.list = func(ctx context.Context, query ports.OrderQuery) (page ports.OrderPage, err error) {
				if query.Limit > ports.MaxListLimit {
					page.Orders, err = all(ctx, whole, query.UserID)
					return page, err
				}
				return whole.List(ctx, query)
			}
		}), fails: []string{
			"List takes a limit out of range as the nearer end",
		}},

		{name: "List with a limit of nothing returns nothing", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				if query.Limit <= 0 {
					return ports.OrderPage{}, nil
				}
				return whole.List(ctx, query)
			}
		}), fails: []string{
			"List takes a limit out of range as the nearer end",
		}},

		{name: "List of nobody's orders finds nothing, and says so as an error", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				page, err := whole.List(ctx, query)
				if err == nil && len(page.Orders) == 0 {
					err = fmt.Errorf("list orders: %w", ports.ErrNotFound)
				}
				return page, err
			}
		}), fails: []string{
			"Add with an ended context keeps neither the order nor its event",
			"List of an empty store is one empty page",
			"List returns only the user's orders, where one is asked for",
			"Methods may be called from several goroutines at once",
		}},

		{name: "List hands out its own slices", open: faulty(func(whole *memory.Orders, f *faultyStore) {
			var mu sync.Mutex
			pages := map[ports.OrderQuery]ports.OrderPage{}
			f.add = func(ctx context.Context, order domain.Order) error {
				mu.Lock()
				defer mu.Unlock()
				clear(pages)
				return whole.Add(ctx, order)
			}
			f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
				mu.Lock()
				defer mu.Unlock()
				page, err := whole.List(ctx, query)
				if kept, ok := pages[query]; ok {
					return kept, err
				}
				if err == nil {
					pages[query] = page
				}
				return page, err
			}
		}), fails: []string{
			"List leaves what it returned to the caller",
		}},
	}
}

// rearranging makes a store whose List sorts each page.
func rearranging(less func(a, b domain.Order) int) func() porttest.Store {
	return faulty(func(whole *memory.Orders, f *faultyStore) {
		f.list = func(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error) {
			page, err := whole.List(ctx, query)
			slices.SortFunc(page.Orders, less)
			return page, err
		}
	})
}
