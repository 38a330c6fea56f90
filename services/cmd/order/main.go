// Command order is the order service: it takes orders over HTTP, stores them,
// and publishes their events to the broker.
package main

import (
	"context"
	"log/slog"

	"example.com/orderflow/services/account"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/cmd/internal/operators"
	"example.com/orderflow/services/cmd/internal/preflight"
	"example.com/orderflow/services/order"
)

type settings struct {
	Run run `cmd:"" default:"1" help:"Run the service (default)."`
	app.Commands
	preflight.Order
	operators.OfOrders

	Addr app.Address `env:"ADDR" default:":8080" help:"Address to serve HTTP at."`
	app.Intake
	app.Common
}

// Addresses returns the address that answers /readyz.
func (s *settings) Addresses() []app.Address { return []app.Address{s.Addr} }

func main() {
	app.Main(app.Program{
		Name:        "order",
		Description: "Takes orders over HTTP, stores them, and publishes their events.",
		Store:       "mongodb://localhost:27017/orders",
		Broker:      "amqp://guest:guest@localhost:5672/",
		LogFormat:   "json",
		AdminPort:   "9080",
	}, new(settings))
}

type run struct{}

// Run runs the service until ctx ends.
func (run) Run(ctx context.Context, s *settings, log *slog.Logger) error {
	// 1. Open the broker, without waiting for it. Open the store, and wait for it.
	broker, store, err := s.Open(ctx, app.BrokerOptions{}, log)
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

	// 3. Make the relay from the outbox to the broker.
	relay, err := order.NewRelay(store.Orders, broker.Publisher, log)
	if err != nil {
		return err
	}

	// 4. Make the service, which stores orders and hands their events to the relay.
	service, err := order.NewService(store.Orders, relay, log)
	if err != nil {
		return err
	}

	// 5. Make its HTTP handler, which checks tokens. Once ctx has ended, /readyz answers 503.
	handler, err := order.NewHandler(service, store, broker.Publisher, log)
	if err != nil {
		return err
	}
	handler.RequestTimeout = s.RequestTimeout
	s.Intake.Configure(handler)
	tokens, err := s.OpenTokens(ctx, log)
	if err != nil {
		return err
	}
	tokens.GuardOrders(handler)
	context.AfterFunc(ctx, handler.Stop)

	// 6. Make the account, and the server for operators.
	office, err := account.New(account.Parts{Orders: store.Orders.Account})
	if err != nil {
		return err
	}
	accounting, _, err := s.Accounting(office, log, handler)
	if err != nil {
		return err
	}
	admin, err := s.OrdersServer(service, office, log)
	if err != nil {
		return err
	}

	// 7. Run all of them until ctx ends, and stop them in reverse order. One of them
	// waits for the broker, beside the others.
	return s.RunAll(ctx, log,
		admin,
		accounting,
		tokens.Keys(),
		s.AwaitPublisher(broker, log),
		app.Component{Name: "relay", Run: relay.Run},
		s.Server("order", listener, handler, log),
	)
}
