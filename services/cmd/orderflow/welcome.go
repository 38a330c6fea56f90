package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
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
func (s *settings) welcome(out io.Writer, console string, broker ports.Pinger, store *app.Store, orders, notifications net.Listener) app.Component {
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
		s.printWelcome(out, console, s.urlOf(orders), s.urlOf(notifications), kept(ctx, store))
		<-ctx.Done()
		return nil
	}}
}

func (s *settings) urlOf(listener net.Listener) string {
	return s.URL(app.Address(listener.Addr().String()))
}

// kept says how many orders the store keeps, if it knows.
func kept(ctx context.Context, store *app.Store) string {
	if store.Count == nil {
		return ""
	}
	n, err := store.Count(ctx)
	switch {
	case err != nil:
		return "" // the service reports the outage
	case n == 1:
		return ", 1 order"
	}
	return fmt.Sprintf(", %d orders", n)
}

func (s *settings) printWelcome(out io.Writer, console, orders, notifications, kept string) {
	shown := func(url string) string {
		if strings.HasPrefix(url, "memory:") {
			return "memory:   (lost on exit)"
		}
		return app.Shown(url)
	}
	data := fmt.Sprintf("  store          %s%s\n  broker         %s", shown(s.Store), kept, shown(s.Broker))
	if s.Store == s.Broker && s.Store == s.fileURL() {
		path := filepath.Join(s.Data, "orderflow.db")
		data = fmt.Sprintf("  data           %s%s   (to start afresh: stop, then rm %[3]s %[3]s-*)", app.Printable(path), kept, quoted(path))
	}
	header, user := "", `"user_id":"123",`
	if s.AuthJWKS != "" {
		header, user = `-H "Authorization: Bearer $TOKEN" `, "" // the token has the user
	}
	fmt.Fprintf(out, `
  console        %s   (open it in a browser)
  orders         %s
  notifications  %s
%s

  Place an order:
  curl -i %s/order %s-H 'Content-Type: application/json' -d '{%s"product":"Laptop","quantity":1}'

`, console, orders, notifications, data, orders, header, user)
}

// quoted returns the path as a shell needs it.
func quoted(path string) string {
	path = app.Printable(path)
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
