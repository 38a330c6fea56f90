// Command notification is the notification service: it consumes events from the
// broker and notifies users of them.
package main

import (
	"context"
	"log/slog"
	"time"

	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/cmd/internal/operators"
	"example.com/orderflow/services/cmd/internal/preflight"
	"example.com/orderflow/services/notification"
)

type settings struct {
	Run run `cmd:"" default:"1" help:"Run the service (default)."`
	app.Commands
	preflight.Notifier
	operators.Operations
	operators.OfNotifications

	// In a group of their own, which the help of commands shows after their flags.
	Addr          app.Address `env:"ADDR" default:":8081" help:"Address to serve HTTP at." group:"Settings of the service:"`
	app.Consuming `group:"Settings of the service:"`
	app.Notifying `group:"Settings of the service:"`
	app.OrdersAt  `group:"Settings of the service:"`
	app.Common    `group:"Settings of the service:"`
}

// Addresses returns the address that answers /readyz.
func (s *settings) Addresses() []app.Address { return []app.Address{s.Addr} }

var program = app.Program{
	Name:        "notification",
	Description: "Consumes order events and notifies users of them, once each.",
	Store:       "mongodb://localhost:27017/orders",
	Broker:      "amqp://guest:guest@localhost:5672/",
	LogFormat:   "json",
	AdminPort:   "9081",
}

func main() { app.Main(program, new(settings)) }

type run struct{}

// Run runs the service until ctx ends.
func (run) Run(ctx context.Context, s *settings, out *app.Output, log *slog.Logger) error {
	// 1. Make the channels, which checks their settings. Open the broker, without
	// waiting for it. Open the store, and wait for it.
	channels, err := s.OpenChannels(s.LogChannel(out), log)
	if err != nil {
		return err
	}
	defer channels.Close()
	broker, store, err := s.Open(ctx, app.BrokerOptions{Prefetch: s.Prefetch, Channels: channels}, log)
	if err != nil {
		return err
	}
	defer broker.Close()
	defer store.Close()

	// 2. Listen. A taken address ends the start here.
	listener, err := s.Addr.Listen("addr")
	if err != nil {
		return err
	}

	// 3. Make the service, which notifies by each channel.
	service, err := notification.NewService(notification.Parts{
		Deliveries: store.Deliveries, States: store.States, Contacts: store.Contacts, DeadLetters: broker.DeadLetters,
		Alerts: channels.Alerts, Queue: broker.Queue, Retention: time.Duration(s.Retention), StopTimeout: s.HandlersStopTimeout(), Log: log,
	}, channels.Routes(broker)...)
	if err != nil {
		return err
	}

	// 4. Make its HTTP handler, which checks tokens. Once ctx has ended, /readyz answers 503.
	control, err := notification.NewControl(store.ForControl(), channels.Infos(), log)
	if err != nil {
		return err
	}
	handler, err := notification.NewHandler(control, store, broker.Consumers, log)
	if err != nil {
		return err
	}
	handler.RequestTimeout = s.RequestTimeout
	tokens, err := s.OpenTokens(ctx, log)
	if err != nil {
		return err
	}
	tokens.GuardNotifications(handler)
	context.AfterFunc(ctx, handler.Stop)

	// 5. Make the parts for operators: dead letters, the account, the console.
	operators, err := s.Operators(app.Operators{
		Store: store, Broker: broker, Channels: channels, Control: control,
		Account: s.Orders(), Remote: true, Orders: s.OrderStore(), Handlers: []app.ProgressWatcher{handler},
	}, log)
	if err != nil {
		return err
	}

	// 6. Run all of them until ctx ends, and stop them in reverse order. One of them
	// waits for the broker, beside the others. Errors of the broker name its setting.
	return s.RunAll(ctx, log,
		s.Leaving(store, broker, channels),
		operators.Console,
		operators.Admin,
		tokens.Keys(),
		s.Server("notification", listener, handler, log),
		s.AwaitConsumer(broker, log),
		operators.DeadLetters,
		operators.Accounting,
		app.Component{Name: "alerts", Run: channels.RunAlerts},
		s.OnBroker("notifications", service.Run),
	)
}
