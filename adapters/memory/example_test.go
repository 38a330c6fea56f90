package memory_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func laptop() domain.Order {
	order, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", "Laptop", 1, time.UnixMilli(1_795_600_800_000))
	if err != nil {
		log.Fatal(err)
	}
	return order
}

// Add keeps the order and its event together. The event stays in the outbox until
// it is marked. Add's caller holds the claim on it for a lease.
func ExampleOrders() {
	ctx := context.Background()
	orders := memory.Orders{Lease: time.Millisecond}
	order := laptop()

	fmt.Println(orders.Add(ctx, order, domain.Origin{}))
	fmt.Println(errors.Is(orders.Add(ctx, order, domain.Origin{}), ports.ErrExists))

	time.Sleep(2 * time.Millisecond) // longer than the lease
	events, err := orders.Claim(ctx, 10)
	fmt.Println(len(events), err)
	fmt.Println(events[0].Type, orders.MarkPublished(ctx, events[0].ID))
	// Output:
	// <nil>
	// true
	// 1 <nil>
	// order.created <nil>
}

// After a permanent error the broker sets the event aside, with the reason.
func ExampleBroker() {
	ctx, stop := context.WithCancel(context.Background())
	var broker memory.Broker
	if err := errors.Join(broker.Publisher().Publish(ctx, laptop().Created())...); err != nil {
		log.Fatal(err)
	}
	err := broker.Consumer().Consume(ctx, func(_ context.Context, d ports.Delivery) error {
		defer stop() // enough for an example
		fmt.Println(d.Event.Order.Product, "at attempt", d.Attempt)
		return ports.Permanent(errors.New("no such user"))
	})
	fmt.Println(err)
	for _, dead := range broker.DeadLetters() {
		fmt.Println(dead.ID, dead.Failure.Reason)
	}
	// Output:
	// Laptop at attempt 1
	// <nil>
	// 0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234-created no such user
}

// Only one process at a time can claim a notification. While it waits, the log keeps
// it with its event. Once it is sent, no process can claim it.
func ExampleDeliveries() {
	ctx := context.Background()
	var deliveries memory.Deliveries
	event := laptop().Created()
	key := domain.NotificationKey{EventID: event.ID, Channel: "email", Recipient: domain.UserRecipient}

	claim, err := deliveries.Claim(ctx, key)
	fmt.Println(err)
	_, err = deliveries.Claim(ctx, key)
	fmt.Println(errors.Is(err, ports.ErrClaimed))

	now := domain.TruncateTime(time.Now())
	notification := domain.Notification{
		EventID: key.EventID, Channel: key.Channel, Recipient: key.Recipient, OrderID: event.Order.ID,
		State: domain.Retrying, Reason: "mailbox full", At: now, NextTry: now, Attempt: 1,
	}
	fmt.Println(claim.Record(ctx, notification, event))

	due, err := deliveries.ClaimDue(ctx, "email", 10)
	fmt.Println(len(due), due[0].Event.Order.Product, err)
	notification.State, notification.Reason, notification.NextTry = domain.Sent, "", time.Time{}
	fmt.Println(due[0].Claim.Record(ctx, notification, event))
	_, err = deliveries.Claim(ctx, key)
	fmt.Println(errors.Is(err, ports.ErrExists))
	// Output:
	// <nil>
	// true
	// <nil>
	// 1 Laptop <nil>
	// <nil>
	// true
}
