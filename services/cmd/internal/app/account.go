package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"example.com/orderflow/services/account"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/internal/telemetry"
	"example.com/orderflow/services/order"
)

// OrdersAt has the setting of a notifier that knows where the order service is.
type OrdersAt struct {
	OrdersURL string `name:"orders-url" env:"ORDERS_URL" placeholder:"URL" help:"Admin address of the order service, such as http://orders.internal:9080; adds its part to the account."`
}

func (o *OrdersAt) ordersAt() *OrdersAt { return o }

// Validate refuses a wrong setting; its error names the flag.
func (o *OrdersAt) Validate() error {
	if o.OrdersURL == "" {
		return nil
	}
	return CheckServer("--orders-url", o.OrdersURL)
}

// CheckServer returns an error that names the flag unless its value is the address of a
// server.
func CheckServer(flag, address string) error {
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New(flag + ": it is not the address of a server; give one such as http://orders.internal:8080")
	}
	return nil
}

// Orders returns the account of the orders at the address, or nil without one.
func (o *OrdersAt) Orders() account.Orders {
	if o.OrdersURL == "" {
		return nil
	}
	return account.RemoteOrders(remoteClient(), o.OrdersURL)
}

// OrderStore returns the orders at the address, or nil without one.
func (o *OrdersAt) OrderStore() account.OrderStore {
	if o.OrdersURL == "" {
		return nil
	}
	return account.RemoteOrderStore(remoteClient(), o.OrdersURL)
}

// remoteClient returns a client that sends the token, with few connections, because an admin
// address serves few.
func remoteClient() *http.Client {
	return withAdminToken(&http.Client{Transport: &http.Transport{MaxConnsPerHost: 2, MaxIdleConns: 1, IdleConnTimeout: time.Minute}})
}

// OpenOffice returns the office that draws up the account of a program that notifies.
// Orders is nil if nobody knows the orders, and remote if another process keeps them.
func (c *Common) OpenOffice(store *Store, broker *Broker, channels *Channels, orders account.Orders, remote bool) (*account.Office, error) {
	parts := account.Parts{
		Orders: orders, Remote: remote, Deliveries: store.Deliveries, States: store.States, DeadLetters: store.DeadLetters, DeadLetterQueue: broker.DeadLetters,
		QueueOf: broker.Queue,
	}
	for _, opened := range channels.opened {
		parts.Channels = append(parts.Channels, account.Channel{
			Name: opened.name, Recipients: opened.route(broker).Recipients(), Queue: broker.Queue(opened.name), Subscription: deadletters.SubscriptionOf(opened.name),
		})
	}
	return account.New(parts)
}

// Accounting returns the component that opens the accounts of new recipients, and watches
// whether what waits also moves. The handlers say so at /readyz. The metrics show what waits.
func (c *Common) Accounting(office *account.Office, log *slog.Logger, handlers ...ProgressWatcher) (Component, *account.Watchdog, error) {
	watchdog, err := account.NewWatchdog(office, log)
	if err != nil {
		return Component{}, nil, err
	}
	for _, handler := range handlers {
		handler.WatchProgress(watchdog)
	}
	metrics := telemetry.New(nil, nil)
	watchdog.Stalled = func(place string) { metrics.Stalled(context.Background(), place, 1) }
	for _, place := range watchdog.Places() {
		metrics.Stalled(context.Background(), place, 0) // from now on an increase is seen
	}
	stalls := func(context.Context) (telemetry.Gauges, error) {
		return telemetry.Gauges{Stalled: watchdog.Stalls()}, nil
	}
	if err := errors.Join(office.Observe(nil), telemetry.Observe(nil, stalls)); err != nil {
		return Component{}, nil, err
	}
	return Component{Name: "account", Run: func(ctx context.Context) error {
		var opening sync.WaitGroup
		defer opening.Wait()
		opening.Go(func() { office.RunOpening(ctx, log) })
		return watchdog.Run(ctx)
	}}, watchdog, nil
}

// OrdersServer returns the admin server of a program that takes orders.
func (c *Common) OrdersServer(service *order.Service, office *account.Office, log *slog.Logger) (Component, error) {
	handler, err := account.NewHandler(office, log)
	if err != nil {
		return Component{}, err
	}
	admin, err := order.NewAdminHandler(service, log)
	if err != nil {
		return Component{}, err
	}
	handler.RequestTimeout, admin.RequestTimeout = c.RequestTimeout, c.RequestTimeout
	server, _, err := c.AdminServer(order.OpenAPI, map[string]http.Handler{"/account": handler, "/trace/": admin, "/users/": admin}, adminConnections, log)
	return server, err
}
