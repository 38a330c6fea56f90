package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/app"
)

// listen listens at both services' addresses.
func (s *settings) listen() (orders, notifications net.Listener, err error) {
	if orders, err = s.OrderAddr.Listen("order-addr"); err != nil {
		return nil, nil, err
	}
	if notifications, err = s.NotificationAddr.Listen("notification-addr"); err != nil {
		orders.Close()
		return nil, nil, err
	}
	return orders, notifications, nil
}

// welcome returns the component that prints where the services listen and how to
// try them, once the broker answers.
func (s *settings) welcome(out io.Writer, broker ports.Pinger, orders, notifications net.Listener) app.Component {
	return app.Component{Name: "welcome", Run: func(ctx context.Context) error {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for broker.Ping(ctx) != nil {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
		s.printWelcome(out, urlOf(orders), urlOf(notifications))
		<-ctx.Done()
		return nil
	}}
}

func urlOf(listener net.Listener) string { return app.Address(listener.Addr().String()).URL() }

func (s *settings) printWelcome(out io.Writer, orders, notifications string) {
	shown := func(url string) string {
		if strings.HasPrefix(url, "memory:") {
			return "memory:   (lost on exit)"
		}
		return app.Shown(url)
	}
	fmt.Fprintf(out, `
  orders         %s
  notifications  %s
  store          %s
  broker         %s

  Place an order:
  curl -i %s/order -H 'Content-Type: application/json' -d '{"user_id":"123","product":"Laptop","quantity":1}'

`, orders, notifications, shown(s.Store), shown(s.Broker), orders)
}
