package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"example.com/orderflow/adapters/logchannel"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/notification"
	"example.com/orderflow/services/order"
)

// Part is a service as part of a process.
type Part struct {
	URL        string // where it answers this machine
	Components []Component
}

// OrderService returns the order service, which answers at the address that
// the flag gave and is unready once ctx has ended.
func (c *Common) OrderService(ctx context.Context, flag, address string, intake *Intake, store *Store, broker *Broker, log *slog.Logger) (*Part, error) {
	listener, err := listen(flag, address)
	if err != nil {
		return nil, err
	}
	relay, err := order.NewRelay(store.Orders, broker.Publisher, log)
	if err != nil {
		return nil, err
	}
	service, err := order.NewService(store.Orders, relay, log)
	if err != nil {
		return nil, err
	}
	handler, err := order.NewHandler(service, store, broker.Publisher, log)
	if err != nil {
		return nil, err
	}
	handler.RequestTimeout = c.RequestTimeout
	handler.MaxInFlight = intake.MaxInFlight
	context.AfterFunc(ctx, handler.Stop)
	return &Part{urlOf(listener.Addr().String()), []Component{
		{"broker", func(ctx context.Context) error { return c.awaitPublisher(ctx, broker, log) }},
		{"relay", relay.Run},
		c.httpServer("order", listener, httpapi.Server{Handler: handler, RequestTimeout: c.RequestTimeout}, log),
	}}, nil
}

// awaitPublisher waits for the broker beside the running service: orders are
// taken without it. It fails only if somebody has to change something before
// the broker can be used.
func (c *Common) awaitPublisher(ctx context.Context, broker *Broker, log *slog.Logger) error {
	err := waitFor(ctx, "broker", c.StartTimeout, log, broker.Publisher.Ping)
	switch {
	case errors.Is(err, errInterrupted):
		return nil
	case errors.Is(err, ports.ErrUnavailable) && !errors.Is(err, ports.ErrRefused):
		log.Warn("going on without the broker; orders are taken, their events wait in the outbox", "error", err)
	case err != nil:
		return c.brokerError(err)
	}
	c.checkPolicies(ctx, broker, log)
	<-ctx.Done()
	return nil
}

// logChannel is unready while nothing can be written.
type logChannel struct {
	*logchannel.Channel
	ports.Pinger
}

// NotificationService returns the notification service, which answers at the
// address that the flag gave and operators at another, writes notifications to
// out, among the log, and is unready once ctx has ended.
func (c *Common) NotificationService(ctx context.Context, flag, address string, admin *Admin, store *Store, broker *Broker, out *Output, log *slog.Logger) (*Part, error) {
	listener, err := listen(flag, address)
	if err != nil {
		return nil, err
	}
	letters, err := deadletters.NewService(store.DeadLetters, broker.DeadLetters, log)
	if err != nil {
		return nil, err
	}
	adminHandler, err := deadletters.NewHandler(letters, log)
	if err != nil {
		return nil, err
	}
	adminHandler.RequestTimeout = c.RequestTimeout
	operators, err := admin.AdminServer(c, adminHandler, log)
	if err != nil {
		return nil, err
	}
	service, err := notification.NewService(store.Deliveries, log, logChannel{logchannel.New(c.noticeHandler(out)), out})
	if err != nil {
		return nil, err
	}
	handler, err := notification.NewHandler(service, store, broker.Consumer, log)
	if err != nil {
		return nil, err
	}
	handler.RequestTimeout = c.RequestTimeout
	context.AfterFunc(ctx, handler.Stop)
	return &Part{urlOf(listener.Addr().String()), []Component{
		operators,
		c.httpServer("notification", listener, httpapi.Server{Handler: handler, RequestTimeout: c.RequestTimeout}, log),
		{"broker", func(ctx context.Context) error { return c.awaitConsumer(ctx, broker, log) }},
		{"dead letters", func(ctx context.Context) error {
			if err := letters.Run(ctx); err != nil {
				return c.brokerError(err)
			}
			return nil
		}},
		{"consumer", func(ctx context.Context) error {
			if err := broker.Consumer.Consume(ctx, service.Handle); err != nil {
				return c.brokerError(err)
			}
			return nil
		}},
	}}, nil
}

// awaitConsumer waits for the broker, without which there is nothing to do.
func (c *Common) awaitConsumer(ctx context.Context, broker *Broker, log *slog.Logger) error {
	err := waitFor(ctx, "broker", c.StartTimeout, log, broker.Consumer.Ping)
	switch {
	case errors.Is(err, errInterrupted):
		return nil
	case err != nil:
		return c.brokerError(err)
	}
	c.checkPolicies(ctx, broker, log)
	<-ctx.Done()
	return nil
}

func (c *Common) httpServer(name string, listener net.Listener, server httpapi.Server, log *slog.Logger) Component {
	server.Grace, server.IdleTimeout, server.Log = c.stopTimeout(), c.IdleTimeout, log
	return Component{name + " http", func(ctx context.Context) error {
		log.Info("listening", "service", name, "address", listener.Addr().String())
		return server.Serve(ctx, listener)
	}}
}

// Welcome says what runs where, and how to try it, once it can be tried.
func (c *Common) Welcome(out io.Writer, broker *Broker, orders, notifications *Part) Component {
	return Component{"welcome", func(ctx context.Context) error {
		if err := waitFor(ctx, "services", c.StartTimeout, slog.New(slog.DiscardHandler), broker.Consumer.Ping); err == nil {
			c.printWelcome(out, orders.URL, notifications.URL)
		} // else another component says why not
		<-ctx.Done()
		return nil
	}}
}

func (c *Common) printWelcome(out io.Writer, orders, notifications string) {
	lost := func(url string) string {
		if scheme, err := scheme(url); err == nil && scheme == "memory" {
			return "   (lost on exit)"
		}
		return ""
	}
	fmt.Fprintf(out, `
  orders         %s
  notifications  %s
  store          %s%s
  broker         %s%s

  Place an order:
  curl -i %s/order -H 'Content-Type: application/json' -d '{"user_id":"123","product":"Laptop","quantity":1}'

`, orders, notifications, shown(c.Store), lost(c.Store), shown(c.Broker), lost(c.Broker), orders)
}
