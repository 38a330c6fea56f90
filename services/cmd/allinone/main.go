// Command allinone is both services in one process, by default on adapters in
// memory: nothing to install, nothing kept.
package main

import (
	"cmp"
	"context"
	"log/slog"
	"slices"

	"example.com/orderflow/services/cmd/internal/app"
)

type settings struct {
	OrderAddr        string `env:"ORDER_ADDR" default:"localhost:8080" help:"Address of the order service."`
	NotificationAddr string `env:"NOTIFICATION_ADDR" default:"localhost:8081" help:"Address of the notification service."`
	app.Admin
	app.Consuming
	app.Intake
	app.Common
}

func main() {
	app.Main(app.Program{
		Name:        "allinone",
		Description: "The order service and the notification service in one process.",
		Store:       "memory:",
		Broker:      "memory:",
		LogFormat:   "text",
		AdminPort:   "9081",
	}, &settings{})
}

func (s *settings) Check() error {
	return cmp.Or(s.Common.Check(), s.Admin.Check(), s.Consuming.Check(), s.Intake.Check(), app.CheckAddress("order-addr", s.OrderAddr), app.CheckAddress("notification-addr", s.NotificationAddr))
}

func (s *settings) Addresses() []string { return []string{s.OrderAddr, s.NotificationAddr} }

func (s *settings) Run(ctx context.Context, out *app.Output) error {
	log := slog.New(s.LogHandler(out))

	broker, err := s.OpenBroker(&s.Consuming, log)
	if err != nil {
		return err
	}
	defer broker.Close()
	store, err := s.OpenStore(ctx, log)
	if err != nil {
		return err
	}
	defer store.Close()

	notification, err := s.NotificationService(ctx, "notification-addr", s.NotificationAddr, &s.Admin, store, broker, out, log)
	if err != nil {
		return err
	}
	order, err := s.OrderService(ctx, "order-addr", s.OrderAddr, &s.Intake, store, broker, log)
	if err != nil {
		return err
	}
	return s.RunAll(ctx, log, slices.Concat(
		[]app.Component{s.Welcome(out, broker, order, notification)},
		notification.Components, order.Components)...)
}
