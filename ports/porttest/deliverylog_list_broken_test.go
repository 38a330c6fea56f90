package porttest_test

import (
	"context"
	"slices"
	"sync"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

func brokenDeliveryLists() []broken[porttest.DeliveryLog] {
	return []broken[porttest.DeliveryLog]{
		{name: "List returns the newest first", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			l.list = func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
				list, err := whole.List(ctx, order)
				slices.Reverse(list.Notifications)
				return list, err
			}
		}), fails: []string{
			"List returns the oldest first",
			"List of deliveries leaves what it returned to the caller",
		}},

		{name: "List returns them as they were recorded", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			var mu sync.Mutex
			var recorded []domain.Notification
			l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
				mu.Lock()
				defer mu.Unlock()
				recorded = append(recorded, n)
				return c.DeliveryClaim.Record(ctx, n)
			}
			l.list = func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
				list, err := whole.List(ctx, order)
				mu.Lock()
				defer mu.Unlock()
				list.Notifications = slices.DeleteFunc(slices.Clone(recorded), func(n domain.Notification) bool {
					return !slices.Contains(list.Notifications, n)
				})
				return list, err
			}
		}), fails: []string{
			"List returns the oldest first",
		}},

		{name: "List returns every order's", open: overlaidList(func(all []domain.Notification, _ domain.OrderID) []domain.Notification {
			return all
		}), fails: []string{
			"List returns only what was recorded, and only the order's",
		}, more: true},

		{name: "List returns what is only claimed", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			var mu sync.Mutex
			claimed := map[domain.EventID]string{}
			l.claim = func(ctx context.Context, event domain.EventID, channel string) (ports.DeliveryClaim, error) {
				mu.Lock()
				defer mu.Unlock()
				claimed[event] = channel
				return whole.Claim(ctx, event, channel)
			}
			l.list = func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
				list, err := whole.List(ctx, order)
				mu.Lock()
				defer mu.Unlock()
				for event, channel := range claimed {
					of, _ := event.OrderID()
					if of == order && !slices.ContainsFunc(list.Notifications, func(n domain.Notification) bool { return n.EventID == event }) {
						list.Notifications = append(list.Notifications, domain.Notification{EventID: event, OrderID: order, Channel: channel})
					}
				}
				return list, err
			}
		}), fails: []string{
			"a delivery's claim that has run out can be had by the next, and again",
			"Record with an ended context records nothing",
		}},

		{name: "List of deliveries hands out its own slices", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			var mu sync.Mutex
			lists := map[domain.OrderID][]domain.Notification{}
			l.list = func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
				list, err := whole.List(ctx, order)
				mu.Lock()
				defer mu.Unlock()
				if len(lists[order]) != len(list.Notifications) {
					lists[order] = list.Notifications
				}
				return ports.NotificationList{Notifications: lists[order]}, err
			}
		}), fails: []string{
			"List of deliveries leaves what it returned to the caller",
		}},

		{name: "List does not look at its context", open: faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
			l.list = func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
				return whole.List(context.WithoutCancel(ctx), order)
			}
		}), fails: []string{
			"List of deliveries with an ended context says so",
		}},
	}
}

// overlaidList makes a log that lists as pick would have it.
func overlaidList(pick func(all []domain.Notification, order domain.OrderID) []domain.Notification) func() porttest.DeliveryLog {
	return faultyDeliveries(func(whole *memory.Deliveries, l *faultyLog) {
		var mu sync.Mutex
		var all []domain.Notification
		l.record = func(ctx context.Context, c *faultyClaim, n domain.Notification) error {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, n)
			return c.DeliveryClaim.Record(ctx, n)
		}
		l.list = func(ctx context.Context, order domain.OrderID) (ports.NotificationList, error) {
			mu.Lock()
			defer mu.Unlock()
			return ports.NotificationList{Notifications: pick(slices.Clone(all), order)}, ctx.Err()
		}
	})
}
