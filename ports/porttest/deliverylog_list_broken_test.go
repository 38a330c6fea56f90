package porttest_test

import (
	"context"
	"slices"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func brokenDeliveryLists() []broken[porttest.DeliveryLog] {
	const (
		oldest = "List sorts deliveries by their time, the earliest first"
		only   = "List returns only recorded deliveries, and only of the order"
	)
	return []broken[porttest.DeliveryLog]{
		{"List returns the newest delivery first", oldest, "another clause lists several deliveries", listingDeliveries(func(l *faultyLog, ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
			list, err := l.whole.List(ctx, order)
			slices.Reverse(list.Notifications)
			return list, err
		})},
		{"List returns deliveries in the order in which they were recorded", oldest, "", keepingRecords(keepFirst, func(kept []domain.Notification, order domain.OrderID) []domain.Notification {
			return slices.DeleteFunc(kept, func(n domain.Notification) bool { return n.OrderID != order })
		})},
		{"List returns the deliveries of every order", only, "other clauses record deliveries of several orders", keepingRecords(keepFirst, func(kept []domain.Notification, _ domain.OrderID) []domain.Notification {
			return kept
		})},
		{"List returns claimed deliveries", only, "other clauses list claimed deliveries", faultyDeliveries(func(l *faultyLog) {
			var claimed shared[domain.Notification, bool]
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				order, _ := event.OrderID()
				claimed.set(domain.Notification{EventID: event, OrderID: order, Channel: channel}, true)
				return l.whole.Claim(ctx, event, channel)
			}
			l.list = func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
				list, err := l.whole.List(ctx, order)
				claimed.do(func(claimed map[domain.Notification]bool) {
					for n := range claimed {
						if n.OrderID == order && !slices.ContainsFunc(list.Notifications, sameDelivery(n)) {
							list.Notifications = append(list.Notifications, n)
						}
					}
				})
				return list, err
			}
		})},
		{"List of deliveries returns its own slices", "List of deliveries shares no memory with its caller", "", faultyDeliveries(func(l *faultyLog) {
			var lists shared[domain.OrderID, []domain.Notification]
			l.list = func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
				list, err := l.whole.List(ctx, order)
				if own, _ := lists.get(order); len(own) != len(list.Notifications) {
					lists.set(order, list.Notifications)
				}
				list.Notifications, _ = lists.get(order)
				return list, err
			}
		})},
		{"List of deliveries ignores its context", "List of deliveries with an ended context returns its error", "", faultyDeliveries(func(l *faultyLog) { ignoreContext(&l.list) })},
	}
}
