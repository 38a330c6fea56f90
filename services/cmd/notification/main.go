// Command notification is the notification service: it consumes events from
// the broker and tells users of them.
package main

import (
	"cmp"
	"context"
	"log/slog"

	"example.com/orderflow/services/cmd/internal/app"
)

type settings struct {
	Addr string `env:"ADDR" default:":8081" help:"Address to answer HTTP at."`
	app.Admin
	app.Consuming
	app.Common

	DeadLetters deadLetters `cmd:"" help:"Look after messages that could not be dealt with."`
}

var program = app.Program{
	Name:        "notification",
	Description: "Consumes order events and tells users of them, once each.",
	Store:       "mongodb://localhost:27017/orders",
	Broker:      "amqp://guest:guest@localhost:5672/",
	LogFormat:   "json",
	AdminPort:   "9081",
}

func main() { app.Main(program, &settings{}) }

func (s *settings) Check() error {
	return cmp.Or(s.Common.Check(), s.Admin.Check(), s.Consuming.Check(), app.CheckAddress("addr", s.Addr))
}

func (s *settings) Addresses() []string { return []string{s.Addr} }

func (s *settings) Run(ctx context.Context, out *app.Output) error {
	log := slog.New(s.LogHandler(out))

	broker, err := s.OpenConsumer(&s.Consuming, log)
	if err != nil {
		return err
	}
	defer broker.Close()
	store, err := s.OpenStore(ctx, log)
	if err != nil {
		return err
	}
	defer store.Close()

	notification, err := s.NotificationService(ctx, "addr", s.Addr, &s.Admin, store, broker, out, log)
	if err != nil {
		return err
	}
	return s.RunAll(ctx, log, notification.Components...)
}
