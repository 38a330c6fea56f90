package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/orderflow/adapters/logchannel"
	"example.com/orderflow/adapters/smtpchannel"
	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/adapters/webhookchannel"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/proof/harness"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/notification"
	"example.com/orderflow/services/order"
)

// run runs both services until ctx ends, with the trap around the ports' methods.
func (s *settings) run(ctx context.Context, log *slog.Logger) error {
	trap, err := parseTrap(s.Kill)
	if err != nil {
		return err
	}

	// 1. Open the file and the channels.
	store, err := sqlite.Open(ctx, s.Store, sqlite.Options{
		Logger:               log,
		SubscriptionPrefetch: map[string]int{harness.Email: notification.DefaultConcurrency, harness.Webhook: notification.DefaultConcurrency},
	})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := store.Close(ctx); err != nil {
			log.Error("the store did not close", "error", err)
		}
	}()
	routes, err := s.routes(store, trap, log)
	if err != nil {
		return err
	}

	// 2. Make the order service.
	kept, published := orders{store.Orders(), trap}, publisher{store.Publisher(), trap}
	relay, err := order.NewRelay(kept, published, log)
	if err != nil {
		return err
	}
	placing, err := order.NewService(kept, relay, log)
	if err != nil {
		return err
	}
	orderHandler, err := order.NewHandler(placing, store, published, log)
	if err != nil {
		return err
	}

	// 3. Make the notification service.
	sent := deliveries{store.Deliveries(), trap, log, new(atomic.Int64)}
	paused, aside := states{store.ChannelStates(), trap}, letterQueue{store.DeadLetterQueue(), trap}
	settled := letters{store.DeadLetters(), trap}
	notifying, err := notification.NewService(notification.Parts{
		Deliveries: sent, States: paused, Contacts: store.Contacts(), DeadLetters: aside, Log: log,
	}, routes...)
	if err != nil {
		return err
	}
	infos := make([]notification.ChannelInfo, len(routes))
	queues := make(pingers, len(routes))
	for i, r := range routes {
		infos[i].Name, queues[i] = r.Channel.Name(), r.Queue
		infos[i].Addressed, _ = r.Channel.(ports.AddressedChannel)
	}
	control, err := notification.NewControl(notification.Store{
		Deliveries: sent, States: paused, Contacts: store.Contacts(), DeadLetters: settled, Actions: store.OperatorActions(),
	}, infos, log)
	if err != nil {
		return err
	}
	notificationHandler, err := notification.NewHandler(control, store, queues, log)
	if err != nil {
		return err
	}

	// 4. Make the service of dead letters, and the operators' handlers.
	deciding, err := deadletters.NewService(settled, aside, store.OperatorActions(), log)
	if err != nil {
		return err
	}
	admin, err := notification.NewAdminHandler(control, log)
	if err != nil {
		return err
	}
	lettersHandler, err := deadletters.NewHandler(deciding, log)
	if err != nil {
		return err
	}
	operators := http.NewServeMux()
	operators.Handle("/", admin)
	operators.Handle("/dead-letters", lettersHandler)
	operators.Handle("/dead-letters/", lettersHandler)

	// 5. Run all of them until ctx ends.
	running, ctx := errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{
		relay.Run, notifying.Run, deciding.Run,
		serve(s.OrderAddr, orderHandler), serve(s.NotificationAddr, notificationHandler), serve(s.AdminAddr, operators),
		func(ctx context.Context) error { return putPoison(ctx, aside, s.Poison, log) },
	} {
		running.Go(func() error { return run(ctx) })
	}
	return running.Wait()
}

// routes returns the channels' routes, each from its own queue.
func (s *settings) routes(store *sqlite.Store, trap *trap, log *slog.Logger) ([]notification.Route, error) {
	mails, err := smtpchannel.Open(s.SMTP, smtpchannel.Options{})
	if err != nil {
		return nil, err
	}
	webhooks, err := webhookchannel.New(webhookchannel.Options{Secrets: []string{s.WebhookSecret}, AllowPrivate: true})
	if err != nil {
		return nil, err
	}
	routes := []notification.Route{
		{Channel: channel{logchannel.New(log.Handler()), trap}},
		{Channel: addressed{mails, trap}, ToUsers: true},
		{Channel: addressed{webhooks, trap}, ToUsers: true, Endpoints: []notification.Endpoint{{Name: harness.Operator, Address: s.Webhook}}},
		{Channel: channel{picky{log}, trap}, Schedule: notification.Schedule{Base: 200 * time.Millisecond, Factor: 1, Cap: time.Second, Horizon: time.Hour}},
	}
	for i, name := range []string{"", harness.Email, harness.Webhook, harness.Picky} {
		routes[i].Queue, routes[i].Subscription = queue{store.Subscription(name), trap}, name
	}
	return routes, nil
}

// pingers are ready when all of them are.
type pingers []ports.Pinger

func (p pingers) Ping(ctx context.Context) error {
	for _, pinger := range p {
		if err := pinger.Ping(ctx); err != nil {
			return err
		}
	}
	return nil
}

// serve answers requests at the address until ctx ends.
func serve(addr string, handler http.Handler) func(context.Context) error {
	return func(ctx context.Context) error {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: handler}
		stopped := make(chan error, 1)
		defer context.AfterFunc(ctx, func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			stopped <- server.Shutdown(ctx)
		})()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return <-stopped
	}
}
