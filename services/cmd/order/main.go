// Command order is the order service: it takes orders over HTTP, keeps them in
// the store, and publishes their events to the broker.
package main

import (
	"cmp"
	"context"
	"log/slog"

	"example.com/orderflow/services/cmd/internal/app"
)

type settings struct {
	Addr string `env:"ADDR" default:":8080" help:"Address to answer HTTP at."`
	app.Admin
	app.Intake
	app.Common
}

func main() {
	app.Main(app.Program{
		Name:        "order",
		Description: "Takes orders over HTTP, keeps them, and publishes their events.",
		Store:       "mongodb://localhost:27017/orders",
		Broker:      "amqp://guest:guest@localhost:5672/",
		LogFormat:   "json",
		AdminPort:   "9080",
	}, &settings{})
}

func (s *settings) Check() error {
	return cmp.Or(s.Common.Check(), s.Admin.Check(), s.Intake.Check(), app.CheckAddress("addr", s.Addr))
}

func (s *settings) Addresses() []string { return []string{s.Addr} }

func (s *settings) Run(ctx context.Context, out *app.Output) error {
	log := slog.New(s.LogHandler(out))

	broker, err := s.OpenPublisher(log)
	if err != nil {
		return err
	}
	defer broker.Close()
	store, err := s.OpenStore(ctx, log)
	if err != nil {
		return err
	}
	defer store.Close()

	admin, err := s.AdminServer(&s.Common, nil, log)
	if err != nil {
		return err
	}
	order, err := s.OrderService(ctx, "addr", s.Addr, &s.Intake, store, broker, log)
	if err != nil {
		return err
	}
	return s.RunAll(ctx, log, append([]app.Component{admin}, order.Components...)...)
}
