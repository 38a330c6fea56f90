package order_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/order"
)

// This example places an order and handles its event, with all adapters in memory.
// Your own unit tests can do the same.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	var orders memory.Orders
	var broker memory.Broker
	quiet := slog.New(slog.DiscardHandler)

	relay, err := order.NewRelay(&orders, broker.Publisher(), quiet)
	if err != nil {
		fmt.Println(err)
	}
	service, err := order.NewService(&orders, relay, quiet)
	if err != nil {
		fmt.Println(err)
	}
	var running sync.WaitGroup
	running.Go(func() { relay.Run(ctx) })

	placed, _, err := service.Place(ctx, order.Placement{UserID: "123", Product: "Laptop", Quantity: 1})
	if err != nil {
		fmt.Println(err)
	}
	err = broker.Consumer().Consume(ctx, func(_ context.Context, d ports.Delivery) error {
		fmt.Println(d.Event.Type, d.Event.Order.Product, d.Event.Order.ID == placed.ID)
		cancel()
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	running.Wait()
	// Output: order.created Laptop true
}

// This program keeps orders in MongoDB and publishes their events to RabbitMQ,
// until it gets SIGTERM or an interrupt.
func Example_servers() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	store, err := mongodb.Open(ctx, "mongodb://localhost:27017/orders", mongodb.Options{})
	if err != nil {
		log.Fatal(err)
	}
	broker, err := rabbitmq.Open("amqp://guest:guest@localhost:5672/", rabbitmq.Options{})
	if err != nil {
		log.Fatal(err)
	}
	relay, err := order.NewRelay(store.Orders(), broker.Publisher(), slog.Default())
	if err != nil {
		log.Fatal(err)
	}
	service, err := order.NewService(store.Orders(), relay, slog.Default())
	if err != nil {
		log.Fatal(err)
	}
	handler, err := order.NewHandler(service, store, broker.Publisher(), slog.Default())
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: ":8080", Handler: handler,
		ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
	}

	relaying, stopRelay := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { relay.Run(relaying) })
	running.Go(func() { log.Print(server.ListenAndServe()) })

	// Stop taking orders, let the relay publish its events, and disconnect.
	<-ctx.Done()
	handler.Stop()
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	server.Shutdown(ending)
	stopRelay()
	running.Wait()
	broker.Close(ending)
	store.Close(ending)
}
