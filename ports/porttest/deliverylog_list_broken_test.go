package porttest_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// askingDeliveries makes a log whose List changes the query.
func askingDeliveries(change func(query *ports.NotificationQuery)) func() porttest.DeliveryLog {
	return faultyDeliveries(func(l *faultyLog) { changeArgument(&l.list, change) })
}

// brokenDeliveryPages returns the logs whose fault is in the pages of an order's
// deliveries, or in those of others.
func brokenDeliveryPages(items string, ofOrder bool) []broken[porttest.DeliveryLog] {
	const every = "every clause that lists deliveries in pages"
	its := func(query ports.NotificationQuery) bool { return (query.OrderID != "") == ofOrder }
	table := []broken[porttest.DeliveryLog]{
		{"List of no " + items + " has another page", "List of no " + items + " is one empty page", "every clause that lists none", listingDeliveries(func(page *ports.NotificationPage, query ports.NotificationQuery) {
			if its(query) && len(page.Notifications) == 0 && query.Cursor == "" {
				page.NextCursor = "more"
			}
		})},
		{"List skips " + items + " of the same time as the last of a page", "List of " + items + " continues after the page before, for pages of any size", every, faultyDeliveries(func(l *faultyLog) {
			var ends shared[string, time.Time]
			l.list = func(ctx context.Context, query ports.NotificationQuery) (ports.NotificationPage, error) {
				page, err := l.whole.List(ctx, query)
				if len(page.Notifications) > 0 {
					ends.set(page.NextCursor, page.Notifications[len(page.Notifications)-1].At)
				}
				if end, ok := ends.get(query.Cursor); ok && query.Cursor != "" && its(query) {
					page.Notifications = slices.DeleteFunc(page.Notifications, func(n domain.Notification) bool { return n.At.Equal(end) })
				}
				return page, err
			}
		})},
	}
	if ofOrder {
		return table
	}
	return append(table, []broken[porttest.DeliveryLog]{
		{"List of " + items + " uses 20 for a limit of 0", "List of " + items + " replaces a limit that is out of range by the nearer bound", "", askingDeliveries(func(query *ports.NotificationQuery) {
			if its(*query) && query.Limit < 1 {
				query.Limit = 20
			}
		})},
		{"List of " + items + " starts anew at an unknown cursor", "List of " + items + " refuses a cursor that it did not return", "", faultyDeliveries(func(l *faultyLog) {
			l.list = func(ctx context.Context, query ports.NotificationQuery) (ports.NotificationPage, error) {
				page, err := l.whole.List(ctx, query)
				if err != nil && query.Cursor != "" && ctx.Err() == nil && its(query) {
					query.Cursor = ""
					return l.whole.List(ctx, query)
				}
				return page, err
			}
		})},
	}...)
}

func brokenDeliveryLists() []broken[porttest.DeliveryLog] {
	const (
		sorts  = "List sorts deliveries by their time, and by their key within one time: an order's oldest first, others newest first"
		only   = "List returns only recorded deliveries, each once"
		match  = "List returns only deliveries that match each field of the query"
		steady = "List returns each delivery that does not change once, while others are recorded and change"
		tied   = "other clauses list several deliveries"
		ofUser = "other clauses list a user's deliveries"
	)
	sorting := func(compare func(a, b domain.Notification) int) func() porttest.DeliveryLog {
		return listingDeliveries(func(page *ports.NotificationPage, query ports.NotificationQuery) {
			if query.OrderID != "" {
				slices.SortStableFunc(page.Notifications, compare)
			}
		})
	}
	times := func(a, b domain.Notification) int { return a.At.Compare(b.At) }
	return slices.Concat(brokenDeliveryPages("deliveries", false), brokenDeliveryPages("an order's deliveries", true), []broken[porttest.DeliveryLog]{
		{"List returns an order's newest delivery first", sorts, tied, sorting(func(a, b domain.Notification) int { return times(b, a) })},

		{"List returns an order's highest key of one time first", sorts, tied, sorting(func(a, b domain.Notification) int {
			return cmp.Or(times(a, b), strings.Compare(b.Channel+" "+b.Recipient, a.Channel+" "+a.Recipient))
		})},
		{"List sorts channels in any case", sorts, "", sorting(func(a, b domain.Notification) int {
			return cmp.Or(times(a, b), strings.Compare(strings.ToLower(a.Channel), strings.ToLower(b.Channel)))
		})},
		{"List returns other deliveries with the lowest key of one time first", sorts, tied, listingDeliveries(func(page *ports.NotificationPage, query ports.NotificationQuery) {
			if query.OrderID == "" {
				slices.SortStableFunc(page.Notifications, func(a, b domain.Notification) int {
					return cmp.Or(times(b, a), strings.Compare(fmt.Sprint(a.Key()), fmt.Sprint(b.Key())))
				})
			}
		})},
		{"List returns claimed deliveries", only, "other clauses list claimed deliveries", faultyDeliveries(func(l *faultyLog) {
			var claimed shared[domain.NotificationKey, bool]
			l.claim = func(ctx context.Context, key domain.NotificationKey) (ports.DeliveryClaim, error) {
				claimed.set(key, true)
				return l.whole.Claim(ctx, key)
			}
			changeResult(&l.list, func(page *ports.NotificationPage, query ports.NotificationQuery) {
				claimed.do(func(claimed map[domain.NotificationKey]bool) {
					for key := range claimed {
						order, _ := key.EventID.OrderID()
						there := slices.ContainsFunc(page.Notifications, func(n domain.Notification) bool { return n.Key() == key })
						if query.OrderID != "" && order == query.OrderID && !there {
							page.Notifications = append(page.Notifications, domain.Notification{EventID: key.EventID, OrderID: order, Channel: key.Channel})
						}
					}
				})
			})
		})},
		{"List omits what is claimed, although it is recorded", only, "", faultyDeliveries(func(l *faultyLog) {
			var claimed shared[domain.NotificationKey, bool]
			changeClaimed(l, func(_ string, all *[]ports.WaitingDelivery) {
				for _, w := range *all {
					claimed.set(w.Notification.Key(), true)
				}
			})
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification, event domain.Event) error {
				claimed.set(c.key, false)
				return c.DeliveryClaim.Record(ctx, n, event)
			}
			changeResult(&l.list, func(page *ports.NotificationPage, query ports.NotificationQuery) {
				page.Notifications = slices.DeleteFunc(page.Notifications, func(n domain.Notification) bool {
					is, _ := claimed.get(n.Key())
					return is
				})
			})
		})},
		{"List ignores the user", match, ofUser, askingDeliveries(func(query *ports.NotificationQuery) { query.UserID = "" })},

		{"List of an order ignores the user", match, "", askingDeliveries(func(query *ports.NotificationQuery) {
			if query.OrderID != "" {
				query.UserID = ""
			}
		})},
		{"List ignores the channel", match, "", askingDeliveries(func(query *ports.NotificationQuery) { query.Channel = "" })},

		{"List ignores the states", match, "", askingDeliveries(func(query *ports.NotificationQuery) { query.States = nil })},

		{"List uses the first of several states", match, "another clause lists several states", askingDeliveries(func(query *ports.NotificationQuery) {
			query.States = query.States[:min(len(query.States), 1)]
		})},
		{"List ignores the time's beginning", match, "", askingDeliveries(func(query *ports.NotificationQuery) { query.From = time.Time{} })},

		{"List takes the time's end for a part of it", match, "", askingDeliveries(func(query *ports.NotificationQuery) {
			if !query.To.IsZero() {
				query.To = query.To.Add(time.Millisecond)
			}
		})},
		{"List does not take the time's beginning for a part of it", match, "another clause lists from a time on", askingDeliveries(func(query *ports.NotificationQuery) {
			if !query.From.IsZero() {
				query.From = query.From.Add(time.Millisecond)
			}
		})},
		{"List counts its pages from the first delivery", steady, "", faultyDeliveries(func(l *faultyLog) {
			l.list = func(ctx context.Context, query ports.NotificationQuery) (ports.NotificationPage, error) {
				all, err := everyPage(func(cursor string) ([]domain.Notification, string, error) {
					whole := query
					whole.Limit, whole.Cursor = ports.MaxListLimit, cursor
					page, err := l.whole.List(ctx, whole)
					return page.Notifications, page.NextCursor, err
				})
				if err != nil {
					return ports.NotificationPage{}, err
				}
				page, next, err := countedPage(all, query.Limit, query.Cursor)
				return ports.NotificationPage{Notifications: page, NextCursor: next}, err
			}
		})},
		{"List of deliveries ignores its context", "List of deliveries with an ended context returns its error", "", faultyDeliveries(func(l *faultyLog) { ignoreContext(&l.list) })},
	})
}
