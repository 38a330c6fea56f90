package porttest

import (
	"context"
	"testing"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func checkDeliveries(t testing.TB, d DeliveryLog, order domain.OrderID, want ...domain.Notification) {
	t.Helper()
	for _, log := range []ports.DeliveryLog{d.Log, d.Other} {
		got, err := log.List(bounded(t), ports.NotificationQuery{OrderID: order, Limit: 1000})
		must(t, "list deliveries of order "+string(order), err)
		checkEqual(t, "deliveries of order "+string(order), ports.NotificationPage{Notifications: want}, got)
	}
}

var deliveryLogList = []Clause[DeliveryLog]{
	{"List sorts deliveries by their time, the earliest first", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		var want []domain.Notification
		for n, channel := range []string{"z", "b", "a", "y", "m", "c"} {
			want = append(want, notification(event, channel, n))
		}
		for _, n := range []int{3, 0, 5, 1, 4, 2} { // recorded in another order than sent
			record(t, claimDelivery(t, d.Log, event, want[n].Channel), want[n])
		}
		checkDeliveries(t, d, event.Order.ID, want...)
	}},

	{"List returns only recorded deliveries, and only of the order", func(t testing.TB, d DeliveryLog) {
		mine, other := event(1), event(2)
		checkDeliveries(t, d, mine.Order.ID)
		releaseDelivery(t, claimDelivery(t, d.Log, mine, "released"))
		claimDelivery(t, d.Log, mine, "claimed")
		record(t, claimDelivery(t, d.Log, other, "mail"), notification(other, "mail", 1))
		record(t, claimDelivery(t, d.Log, mine, "mail"), notification(mine, "mail", 2))
		checkDeliveries(t, d, mine.Order.ID, notification(mine, "mail", 2))
		checkDeliveries(t, d, other.Order.ID, notification(other, "mail", 1))
		checkDeliveries(t, d, orderID(3))
	}},

	{"List of deliveries shares no memory with its caller", func(t testing.TB, d DeliveryLog) {
		event := event(1)
		var want []domain.Notification
		for n, channel := range []string{"mail", "log"} {
			want = append(want, notification(event, channel, n))
			record(t, claimDelivery(t, d.Log, event, channel), want[n])
		}
		got, err := d.Log.List(bounded(t), ports.NotificationQuery{OrderID: event.Order.ID, Limit: 1000})
		must(t, "list deliveries", err)
		for i := range got.Notifications {
			got.Notifications[i].Channel = "changed by the caller"
		}
		checkDeliveries(t, d, event.Order.ID, want...)
	}},

	{"List of deliveries with an ended context returns its error", func(t testing.TB, d DeliveryLog) {
		checkEnded(t, "List", func(ctx context.Context) error {
			return errorOf(d.Log.List(ctx, ports.NotificationQuery{OrderID: orderID(1), Limit: 1000}))
		})
	}},
}
