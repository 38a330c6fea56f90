package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The ways of taking orders.
const (
	ours     = "ours"
	original = "original"
	usual    = "usual"
	outboxed = "outboxed"
)

var ways = []string{ours, original, usual, outboxed}

// wayTitle names a way in tables.
func wayTitle(way string) string {
	if way == outboxed {
		return "usual, with outbox and log"
	}
	return way
}

// The services of each way.
const (
	orderService = "order"
	notifier     = "notification"
)

// wayCommand runs one service of another way as a process.
type wayCommand struct {
	Way       string `arg:"" enum:"original,usual,outboxed"`
	Service   string `arg:"" enum:"order,notification"`
	Addr      string `required:""`
	AdminAddr string // ignored, for ours has one
	Store     string `required:""`
	Broker    string `required:""`
}

// heapFloor is live memory that makes the collector run as seldom as in our services.
const heapFloor = 32 << 20 // bytes

// run serves until ctx ends.
func (c *wayCommand) run(ctx context.Context) error {
	floor := make([]byte, heapFloor)
	defer runtime.KeepAlive(floor)
	connection, err := amqp.Dial(c.Broker)
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	defer connection.Close()
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil))) // as ours logs
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	db, closeStore, err := c.openStore(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	if c.Service == notifier {
		return c.notify(ctx, connection, db, mux)
	}

	var place placeFunc
	switch c.Way {
	case original:
		place = placeOriginal(connection, db.Collection("orders"))
	case usual:
		place, err = placeUsual(connection, db.Collection("orders"))
	case outboxed:
		var marks sync.WaitGroup
		defer marks.Wait()
		place, err = placeOutboxed(ctx, connection, db.Collection("orders"), &marks)
	}
	if err != nil {
		return err
	}
	mux.HandleFunc("POST /order", func(w http.ResponseWriter, r *http.Request) { handleOrder(w, r, place) })
	return c.serve(ctx, mux)
}

func (c *wayCommand) openStore(ctx context.Context) (db *mongo.Database, closeIt func(), err error) {
	address, err := url.Parse(c.Store)
	if err != nil {
		return nil, nil, fmt.Errorf("open the store: %w", err)
	}
	opts := options.Client().ApplyURI(c.Store)
	if c.Way != original {
		opts.SetWriteConcern(usualWriteConcern)
	}
	client, err := mongo.Connect(opts)
	if err != nil {
		return nil, nil, fmt.Errorf("open the store: %w", err)
	}
	return client.Database(strings.TrimPrefix(address.Path, "/")), func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = client.Disconnect(closing)
	}, nil
}

func (c *wayCommand) serve(ctx context.Context, handler http.Handler) error {
	server := &http.Server{Addr: c.Addr, Handler: handler}
	stopped := make(chan error, 1)
	defer context.AfterFunc(ctx, func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(stopping)
	})()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// wayOrder is an order in requests, in the store, in events and in answers.
type wayOrder struct {
	ID       string `json:"id" bson:"_id"`
	UserID   string `json:"user_id" bson:"user_id"`
	Product  string `json:"product" bson:"product"`
	Quantity int    `json:"quantity" bson:"quantity"`

	Outbox *wayOutbox `json:"-" bson:"outbox,omitempty"` // until the event is published
}

// placeFunc stores an order and publishes its event, which is also the answer.
type placeFunc func(ctx context.Context, order wayOrder, event []byte) error

func handleOrder(w http.ResponseWriter, r *http.Request, place placeFunc) {
	var order wayOrder
	if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
		http.Error(w, "malformed", http.StatusBadRequest)
		return
	}
	order.ID = newID()
	event, err := json.Marshal(order)
	if err == nil {
		err = place(r.Context(), order, event)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(event) // the client may have left
}

// notify consumes the way's queue and logs notifications as ours does.
func (c *wayCommand) notify(ctx context.Context, connection *amqp.Connection, db *mongo.Database, mux *http.ServeMux) error {
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	send := func(delivery amqp.Delivery) error {
		var o wayOrder
		if err := json.Unmarshal(delivery.Body, &o); err != nil {
			return err
		}
		slog.Info("Received order", "event_id", delivery.MessageId, "order_id", o.ID, "user_id", o.UserID, "product", o.Product, "quantity", o.Quantity)
		return nil
	}
	var deliveries <-chan amqp.Delivery
	handle, workers := send, 1
	switch c.Way {
	case original:
		deliveries, err = consumeOriginal(channel)
	case usual:
		deliveries, err = consumeUsual(channel)
		handle = func(delivery amqp.Delivery) error {
			if err := send(delivery); err != nil {
				return err
			}
			return delivery.Ack(false)
		}
	case outboxed:
		deliveries, err = consumeUsual(channel)
		handle, workers = logged(db, send), outboxedWorkers
	}
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var handling sync.WaitGroup
	for range workers {
		handling.Go(func() {
			for delivery := range deliveries {
				if err := handle(delivery); err != nil {
					stop(fmt.Errorf("notify: %w", err))
					return
				}
			}
		})
	}
	err = c.serve(ctx, mux)
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	_ = channel.Close() // ends the deliveries
	handling.Wait()
	return err
}
