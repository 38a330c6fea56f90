// Command order is the order service: it takes orders over HTTP, keeps them in
// the store, and publishes their events to the broker.
package main

import (
	"cmp"
	"context"
	"io"
	"log/slog"

	"example.com/orderflow/services/cmd/internal/app"
)

type settings struct {
	Addr string `env:"ADDR" default:":8080" help:"Address to answer HTTP at."`
	app.Common
}

func main() {
	app.Main(app.Program{
		Name:        "order",
		Description: "Takes orders over HTTP, keeps them, and publishes their events.",
		Store:       "mongodb://localhost:27017/orders",
		Broker:      "amqp://guest:guest@localhost:5672/",
		LogFormat:   "json",
	}, &settings{})
}

func (s *settings) Check() error {
	return cmp.Or(s.Common.Check(), app.CheckAddress("addr", s.Addr))
}

func (s *settings) Addresses() []string { return []string{s.Addr} }

func (s *settings) Run(ctx context.Context, out io.Writer) error {
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

	order, err := s.OrderService(ctx, "addr", s.Addr, store, broker, log)
	if err != nil {
		return err
	}
	return s.RunAll(ctx, log, order.Components...)
}
