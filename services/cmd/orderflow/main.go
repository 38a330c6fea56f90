// Command orderflow runs both services in one process. By default it keeps everything in
// one file and needs no servers.
package main

import (
	"context"
	"log/slog"
	"time"

	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/notification"
	"example.com/orderflow/services/order"
)

func main() {
	app.Main(app.Program{
		Name: "orderflow", Description: "The order service and the notification service in one process, which keeps its data in a file.",
		Store: dataFile, Broker: dataFile, LogFormat: "text", AdminPort: "9081",
	}, new(settings))
}

type run struct{}

// Run runs both services until ctx ends.
func (run) Run(ctx context.Context, s *settings, out *app.Output, log *slog.Logger) error {
	// 1. Make the channels, which checks their settings, and the folder of the data. Open
	// the broker and the store.
	channels, err := s.OpenChannels(s.LogChannel(out), log)
	if err != nil {
		return err
	}
	defer channels.Close()
	if err := s.makeFolder(); err != nil {
		return err
	}
	broker, store, err := s.Open(ctx, app.BrokerOptions{Prefetch: s.Prefetch, Channels: channels, InProcess: true}, log)
	if err != nil {
		return err
	}
	defer broker.Close()
	defer store.Close()

	// 2. Listen at both services' addresses.
	orderListener, notificationListener, err := s.listen()
	if err != nil {
		return err
	}

	// 3. Make the order service: relay, service, HTTP handler, which checks tokens.
	tokens, err := s.OpenTokens(ctx, log)
	if err != nil {
		return err
	}
	relay, err := order.NewRelay(store.Orders, broker.Publisher, log)
	if err != nil {
		return err
	}
	orders, err := order.NewService(store.Orders, relay, log)
	if err != nil {
		return err
	}
	orderHandler, err := order.NewHandler(orders, store, broker.Publisher, log)
	if err != nil {
		return err
	}
	orderHandler.RequestTimeout = s.RequestTimeout
	s.Intake.Configure(orderHandler)
	tokens.GuardOrders(orderHandler)
	context.AfterFunc(ctx, orderHandler.Stop)

	// 4. Make the notification service: service, HTTP handler.
	notifications, err := notification.NewService(notification.Parts{
		Deliveries: store.Deliveries, States: store.States, Contacts: store.Contacts, DeadLetters: broker.DeadLetters,
		Alerts: channels.Alerts, Queue: broker.Queue, Retention: time.Duration(s.Retention), StopTimeout: s.HandlersStopTimeout(), Log: log,
	}, channels.Routes(broker)...)
	if err != nil {
		return err
	}
	control, err := notification.NewControl(store.ForControl(), channels.Infos(), log)
	if err != nil {
		return err
	}
	notificationHandler, err := notification.NewHandler(control, store, broker.Consumers, log)
	if err != nil {
		return err
	}
	notificationHandler.RequestTimeout = s.RequestTimeout
	tokens.GuardNotifications(notificationHandler)
	context.AfterFunc(ctx, notificationHandler.Stop)

	// 5. Make the parts for operators: dead letters, the account, the console.
	operators, err := s.Operators(app.Operators{
		Store: store, Broker: broker, Channels: channels, Control: control,
		Account: store.Orders.Account, Orders: store.Orders, Place: orderHandler.PlaceForOperator,
		Handlers: []app.ProgressWatcher{orderHandler, notificationHandler},
	}, log)
	if err != nil {
		return err
	}

	// 6. Run all of them until ctx ends, and stop them in reverse order.
	return s.RunAll(ctx, log,
		s.Leaving(store, broker, channels),
		s.welcome(out, operators.URL, broker.Consumers, store, orderListener, notificationListener),
		operators.Console,
		operators.Admin,
		tokens.Keys(),
		s.Server("notification", notificationListener, notificationHandler, log),
		s.AwaitConsumer(broker, log),
		operators.DeadLetters,
		operators.Accounting,
		app.Component{Name: "alerts", Run: channels.RunAlerts},
		s.OnBroker("notifications", notifications.Run),
		s.AwaitPublisher(broker, log),
		app.Component{Name: "relay", Run: relay.Run},
		s.Server("order", orderListener, orderHandler, log),
	)
}
