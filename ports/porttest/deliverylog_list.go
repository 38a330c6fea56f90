package porttest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// ascending compares notifications as List sorts those of an order.
func ascending(a, b domain.Notification) int {
	return cmp.Or(
		a.At.Compare(b.At),
		strings.Compare(string(a.EventID), string(b.EventID)),
		strings.Compare(a.Channel, b.Channel),
		strings.Compare(a.Recipient, b.Recipient),
	)
}

// sortedFor returns the notifications in the order in which List returns them.
func sortedFor(query ports.NotificationQuery, all []domain.Notification) []domain.Notification {
	all = slices.SortedFunc(slices.Values(all), ascending)
	if query.OrderID == "" {
		slices.Reverse(all)
	}
	return all
}

// selected reports whether the query selects the notification.
func selected(query ports.NotificationQuery, n domain.Notification) bool {
	return (query.OrderID == "" || query.OrderID == n.OrderID) &&
		(query.UserID == "" || query.UserID == n.UserID) &&
		(query.Channel == "" || query.Channel == n.Channel) &&
		(len(query.States) == 0 || slices.Contains(query.States, n.State)) &&
		(query.From.IsZero() || !n.At.Before(query.From)) &&
		(query.To.IsZero() || n.At.Before(query.To))
}

// tiedDeliveries returns count notifications, five of each time, unsorted. All are of
// one user and channel, and sent. Those of one order have recipients of their own.
func tiedDeliveries(n, count int, oneOrder bool) []delivered {
	all := make([]delivered, count)
	for i := range all {
		event := event(n)
		if !oneOrder {
			event = order(n + i).Created()
		}
		all[i] = delivered{notification(event, channel, 0), event}
		all[i].At = epoch.Add(time.Duration((n+i)*7%count/5) * time.Millisecond)
		if oneOrder {
			all[i].Recipient = fmt.Sprint("endpoint", n+i)
		}
	}
	return all
}

func notifications(all []delivered) []domain.Notification {
	var list []domain.Notification
	for _, n := range all {
		list = append(list, n.Notification)
	}
	return list
}

// listerOfDeliveries lists the notifications of all orders, or of one.
func listerOfDeliveries(ofOrder bool) lister[DeliveryLog, ports.NotificationQuery, domain.Notification] {
	items, queries := "deliveries", []ports.NotificationQuery{
		{}, {UserID: "user"}, {Channel: channel}, {States: []domain.NotificationState{domain.Dead, domain.Sent}},
		{From: epoch, To: epoch.Add(time.Hour)},
	}
	if ofOrder {
		items, queries = "an order's deliveries", []ports.NotificationQuery{
			{OrderID: orderID(1)}, {OrderID: orderID(1), UserID: "user", Channel: channel, States: []domain.NotificationState{domain.Sent}, From: epoch},
		}
	}
	return lister[DeliveryLog, ports.NotificationQuery, domain.Notification]{
		items:   items,
		queries: queries,
		with: func(query ports.NotificationQuery, limit int, cursor string) ports.NotificationQuery {
			query.Limit, query.Cursor = limit, cursor
			return query
		},
		fill: func(t testing.TB, d DeliveryLog, count int) []domain.Notification {
			all := tiedDeliveries(1, count, ofOrder)
			recordAll(t, d.Log, all...)
			return sortedFor(queries[0], notifications(all))
		},
		page: func(ctx context.Context, d DeliveryLog, query ports.NotificationQuery) ([]domain.Notification, string, error) {
			page, err := d.Log.List(ctx, query)
			if err == nil && page.Unreadable != 0 {
				err = fmt.Errorf("%d records count as unreadable, want 0", page.Unreadable)
			}
			return page.Notifications, page.NextCursor, err
		},
		check: checkPages,
		id:    func(n domain.Notification) string { return fmt.Sprintf("%s %s %s", n.EventID, n.Channel, n.Recipient) },
	}
}

// checkPages fails t unless the query's pages have these notifications, in this
// order.
func checkPages(t testing.TB, d DeliveryLog, query ports.NotificationQuery, want ...domain.Notification) {
	t.Helper()
	got := listerOfDeliveries(false).follow(t, d, query, query.Limit, func() {})
	checkEqual(t, fmt.Sprintf("list %+v", query), want, got)
}

// An order's pages differ from others in their order; limits and cursors are the same.
var deliveryLogList = slices.Concat(listerOfDeliveries(false).clauses(), listerOfDeliveries(true).clauses()[:2], []Clause[DeliveryLog]{
	{"List sorts deliveries by their time, and by their key within one time: an order's oldest first, others newest first", func(t testing.TB, d DeliveryLog) {
		of := event(1)
		var all []delivered
		for _, channel := range []string{"z", "b", "a", "B", "a-b", "a.b", "ab", "abc", "$a"} {
			for _, recipient := range []string{"", "user", "User", "a", "\u00e4", "z"} {
				n := notification(of, channel, 0)
				n.Recipient = recipient
				n.At = epoch.Add(time.Duration(len(all)%3) * time.Millisecond)
				all = append(all, delivered{n, of})
			}
		}
		recordAll(t, d.Log, append(all, tiedDeliveries(100, 20, false)...)...)
		mine := notifications(all)
		for _, limit := range []int{7, ports.MaxListLimit} {
			query := ports.NotificationQuery{OrderID: of.Order.ID, Limit: limit}
			checkPages(t, d, query, sortedFor(query, mine)...)
			query = ports.NotificationQuery{Limit: limit}
			checkPages(t, d, query, sortedFor(query, append(notifications(tiedDeliveries(100, 20, false)), mine...))...)
		}
	}},

	{"List returns only recorded deliveries, each once", func(t testing.TB, d DeliveryLog) {
		mine, other := event(1), event(2)
		checkDeliveries(t, d, mine.Order.ID)
		releaseDelivery(t, claimDelivery(t, d.Log, mine, "released"))
		claimDelivery(t, d.Log, mine, "claimed")
		record(t, claimDelivery(t, d.Log, other, "mail"), notification(other, "mail", 1))
		record(t, claimDelivery(t, d.Log, mine, "mail"), notification(mine, "mail", 2))
		checkDeliveries(t, d, mine.Order.ID, notification(mine, "mail", 2))
		checkDeliveries(t, d, other.Order.ID, notification(other, "mail", 1))
		checkDeliveries(t, d, orderID(3))

		waits := byDue.nth("waiting", 3, 1)[0]
		recordAll(t, d.Log, waits)
		byDue.some(t, d.Other, "waiting", 1)
		checkDeliveries(t, d, waits.OrderID, waits.Notification) // while it is claimed, too
	}},

	{"List returns only deliveries that match each field of the query", func(t testing.TB, d DeliveryLog) {
		users := []string{"ann", "Ann", "ann ", ".*", `{"$gt":""}`, "\u00e4nn", ""}
		channels := []string{"mail", "Mail", "m.l", "$m"}
		var all []delivered
		for i := range 40 {
			event := event(i / 3) // several of one order
			n := notificationIn(domain.NotificationStates[i%5], event, channels[i%4], 0)
			n.Recipient, n.UserID = fmt.Sprint(i), users[i%len(users)]
			n.At = epoch.Add(time.Duration(i/2) * time.Millisecond)
			all = append(all, delivered{n, event})
		}
		recordAll(t, d.Log, all...)
		at := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Millisecond) }
		queries := []ports.NotificationQuery{
			{}, {UserID: "nobody"}, {Channel: "m"}, {OrderID: orderID(99)}, {States: []domain.NotificationState{"other"}},
			{From: at(3)}, {To: at(7)}, {From: at(3), To: at(7)}, {From: at(7), To: at(7)}, {From: at(50)}, {To: at(0)},
			{UserID: "ann", Channel: "mail"}, {UserID: "ann", States: unsent}, {UserID: "Ann", From: at(2), To: at(15)},
			{Channel: "mail", States: []domain.NotificationState{domain.Sent, domain.Held}, From: at(2), To: at(15)},
			{States: []domain.NotificationState{domain.Retrying, domain.Held, domain.Dead}},
			{States: []domain.NotificationState{domain.Dead}, To: at(12)},
		}
		for i := range 14 {
			id := orderID(i)
			queries = append(queries, ports.NotificationQuery{OrderID: id},
				ports.NotificationQuery{OrderID: id, UserID: users[i%6]}, ports.NotificationQuery{OrderID: id, Channel: channels[i%4]},
				ports.NotificationQuery{OrderID: id, States: unsent[:2]}, ports.NotificationQuery{OrderID: id, From: at(i * 3 / 2), To: at(i*3/2 + 1)})
		}
		for _, user := range users[:6] {
			queries = append(queries, ports.NotificationQuery{UserID: user})
		}
		for _, channel := range channels {
			queries = append(queries, ports.NotificationQuery{Channel: channel})
		}
		for _, state := range domain.NotificationStates {
			queries = append(queries, ports.NotificationQuery{States: []domain.NotificationState{state}})
		}
		for _, query := range queries {
			query.Limit = 4
			var want []domain.Notification
			for _, n := range all {
				if selected(query, n.Notification) {
					want = append(want, n.Notification)
				}
			}
			checkPages(t, d, query, sortedFor(query, want)...)
		}
	}},

	{"List returns each delivery that does not change once, while others are recorded and change", func(t testing.TB, d DeliveryLog) {
		for i, query := range []ports.NotificationQuery{{}, {OrderID: orderID(1000)}, {Channel: channel, States: []domain.NotificationState{domain.Sent, domain.Retrying}}} {
			n := 500 * (i + 1) // other deliveries for each query
			steady := tiedDeliveries(n, 25, query.OrderID != "")
			changing := tiedDeliveries(n+100, 5, false)
			for j := range changing {
				changing[j].Notification = notificationIn(domain.Retrying, changing[j].Event, channel, 0)
				changing[j].At = steady[5*j].At
				if query.OrderID != "" {
					changing[j].OrderID = query.OrderID
				}
			}
			recordAll(t, d.Log, slices.Concat(steady, changing)...)
			added := n + 200
			listed := listerOfDeliveries(false).follow(t, d, query, 4, func() {
				if added >= n+230 {
					return
				}
				more := tiedDeliveries(added, 5, false)
				more[0].At, more[1].At = epoch.Add(time.Hour), epoch.Add(-time.Hour)
				for j := range more {
					if query.OrderID != "" {
						more[j].OrderID = query.OrderID
					}
				}
				recordAll(t, d.Other, more...)
				added += len(more)
				for _, w := range byDue.some(t, d.Other, channel, 2) { // they move to another place
					w.Notification.At = epoch.Add(time.Duration(added) * time.Second)
					recordWith(t, w.Claim, w.Notification, w.Event)
				}
			})
			times := map[domain.NotificationKey]int{}
			for _, got := range listed {
				times[got.Key()]++
			}
			for _, want := range steady {
				if times[want.Key()] != 1 {
					t.Errorf("list %+v: the unchanged delivery %+v was listed %d times, want once", query, want.Key(), times[want.Key()])
				}
			}
		}
	}},

	{"List of deliveries with an ended context returns its error", func(t testing.TB, d DeliveryLog) {
		checkEnded(t, "List", func(ctx context.Context) error {
			return errorOf(d.Log.List(ctx, ports.NotificationQuery{OrderID: orderID(1), Limit: 1000}))
		})
	}},
})
