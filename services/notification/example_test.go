package notification_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// postcards is a custom channel.
type postcards struct{}

func (postcards) Name() string { return "postcard" }

func (postcards) Send(_ context.Context, message ports.Outgoing) (ports.Answer, error) {
	event := message.Event
	if event.Order.UserID == "nobody" {
		return ports.Answer{}, ports.Permanent(errors.New("no address")) // a retry can't help
	}
	fmt.Printf("Dear %s, thank you for ordering %d × %s.\n", event.Order.UserID, event.Order.Quantity, event.Order.Product)
	return ports.Answer{}, nil
}

// This example notifies by a custom channel. The second delivery sends nothing.
func Example() {
	store, broker := new(memory.Store), new(memory.Broker)
	service, err := notification.NewService(notification.Parts{
		Deliveries: store.Deliveries(), States: store.ChannelStates(), DeadLetters: broker.DeadLetterQueue(), Log: slog.New(slog.DiscardHandler),
	}, notification.Route{Channel: postcards{}})
	if err != nil {
		fmt.Println(err)
	}
	order, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", "Laptop", 1, time.Now())
	if err != nil {
		fmt.Println(err)
	}
	handle := service.Handler("postcard")
	for attempt := range 2 {
		err := handle(context.Background(), ports.Delivery{Event: order.Created(), Attempt: attempt + 1})
		fmt.Println("error:", err)
	}
	// Output:
	// Dear 123, thank you for ordering 1 × Laptop.
	// error: <nil>
	// error: <nil>
}

// This program consumes events from RabbitMQ and records its notifications in
// MongoDB, until it gets SIGTERM or an interrupt.
func Example_servers() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	store, err := mongodb.Open(ctx, "mongodb://localhost:27017/orders", mongodb.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(context.Background())
	broker, err := rabbitmq.Open("amqp://guest:guest@localhost:5672/", rabbitmq.Options{})
	if err != nil {
		log.Fatal(err)
	}
	service, err := notification.NewService(notification.Parts{
		Deliveries: store.Deliveries(), States: store.ChannelStates(), DeadLetters: broker.DeadLetterQueue(),
	}, notification.Route{Channel: postcards{}, Queue: broker.Subscription("postcard"), Subscription: "postcard"})
	if err != nil {
		log.Fatal(err)
	}
	if err := service.Run(ctx); err != nil { // nil when ctx has ended and all notifications under way are recorded
		log.Print(err)
	}
}

// This example shows what a handler's result does with the event.
func ExampleService_Handler() {
	seen := make(map[domain.EventID]bool)
	var handler ports.Handler = func(_ context.Context, d ports.Delivery) error {
		switch {
		case seen[d.Event.ID]:
			return nil // a repeat: delivery is at least once
		case d.Event.Order.Quantity > 1000:
			return ports.Permanent(errors.New("too heavy to carry")) // a dead letter, at once
		case d.Attempt < 2:
			return errors.New("busy") // another attempt, after a delay
		}
		seen[d.Event.ID] = true
		fmt.Println("handled at attempt", d.Attempt)
		return nil
	}

	broker := memory.Broker{Delays: []time.Duration{time.Millisecond}, Logger: slog.New(slog.DiscardHandler)}
	order, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", "Laptop", 1, time.Now())
	if err != nil {
		fmt.Println(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := errors.Join(broker.Publisher().Publish(ctx, order.Created())...); err != nil {
		fmt.Println(err)
	}
	err = broker.Consumer().Consume(ctx, func(ctx context.Context, d ports.Delivery) error {
		err := handler(ctx, d)
		if err == nil {
			cancel()
		}
		return err
	})
	fmt.Println("stopped:", err)
	// Output:
	// handled at attempt 2
	// stopped: <nil>
}
