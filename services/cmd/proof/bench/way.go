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

	"example.com/orderflow/services/cmd/proof/harness"
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

	connection *amqp.Connection
	db         *mongo.Database
	marks      sync.WaitGroup // outboxed: removals of marks
}

// heapFloor is live memory that makes the collector run as seldom as in our services.
const heapFloor = 32 << 20 // bytes

// run serves until ctx ends.
func (c *wayCommand) run(ctx context.Context) (err error) {
	floor := make([]byte, heapFloor)
	defer runtime.KeepAlive(floor)
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil))) // as ours logs
	if c.connection, err = amqp.Dial(c.Broker); err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	defer c.connection.Close()
	closeStore, err := c.openStore(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	if c.Service == notifier {
		return c.notify(ctx, mux)
	}
	place, err := map[string]func(context.Context) (placeFunc, error){
		original: c.placeOriginal, usual: c.placeUsual, outboxed: c.placeOutboxed,
	}[c.Way](ctx)
	if err != nil {
		return err
	}
	defer c.marks.Wait()
	mux.HandleFunc("POST /order", func(w http.ResponseWriter, r *http.Request) { handleOrder(w, r, place) })
	return c.serve(ctx, mux)
}

func (c *wayCommand) openStore(ctx context.Context) (closeStore func(), err error) {
	address, err := url.Parse(c.Store)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	opts := options.Client().ApplyURI(c.Store)
	if c.Way != original {
		opts.SetWriteConcern(usualWriteConcern)
	}
	client, err := mongo.Connect(opts)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	c.db = client.Database(strings.TrimPrefix(address.Path, "/"))
	return func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = client.Disconnect(closing)
	}, nil
}

func (c *wayCommand) orders() *mongo.Collection { return c.db.Collection(harness.Orders) }

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

// send logs a notification as ours does.
func send(delivery amqp.Delivery) error {
	var o wayOrder
	if err := json.Unmarshal(delivery.Body, &o); err != nil {
		return err
	}
	slog.Info("Received order", "event_id", delivery.MessageId, "order_id", o.ID, "user_id", o.UserID, "product", o.Product, "quantity", o.Quantity)
	return nil
}

// notify consumes the way's queue.
func (c *wayCommand) notify(ctx context.Context, mux *http.ServeMux) error {
	channel, err := c.connection.Channel()
	if err != nil {
		return err
	}
	consume, handle, workers := consumeUsual, sendUsual, 1
	switch c.Way {
	case original:
		consume, handle = consumeOriginal, send
	case outboxed:
		handle, workers = c.sendOutboxed, outboxedWorkers
	}
	deliveries, err := consume(channel)
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
