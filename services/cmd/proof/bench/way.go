package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"example.com/orderflow/services/cmd/proof/harness"
)

// The ways of taking orders.
const (
	ours     = "ours"
	embedded = "embedded" // ours in one process, with its data in one file
	original = "original"
	usual    = "usual"
	outboxed = "usual with outbox and log"
)

var (
	ways      = slices.Concat(ourWays, otherWays)
	ourWays   = []string{ours, embedded}
	otherWays = []string{original, usual, outboxed}
)

// The services of each way but the embedded one.
const (
	orderService = "order"
	notifier     = "notification"
)

// The queues of the other ways.
const (
	originalQueue = "bench_original"
	usualQueue    = "bench_usual"
)

// wayCommand runs one service of another way as a process.
type wayCommand struct {
	Way       string `arg:"" enum:"original,usual,usual with outbox and log"`
	Service   string `arg:"" enum:"order,notification"`
	Addr      string `required:""`
	AdminAddr string // ignored, for ours has one
	Store     string `required:"" env:"STORE_URL"`
	Broker    string `required:"" env:"BROKER_URL"`

	connection *amqp.Connection
	channels   chan *amqp.Channel // not original: those that are free
	db         *mongo.Database
	orders     *mongo.Collection
	marks      sync.WaitGroup // outboxed: removals of marks
}

// heapFloor is live memory that makes the collector run as seldom as in our services.
const heapFloor = 24 << 20 // bytes

// run serves until ctx ends.
func (c *wayCommand) run(ctx context.Context) {
	floor := make([]byte, heapFloor)
	defer runtime.KeepAlive(floor)
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil))) // as ours logs
	servers := must(harness.OpenServers(c.Store, c.Broker))
	defer servers.Close(context.WithoutCancel(ctx))
	name := strings.TrimPrefix(servers.Store.Path, "/")
	c.connection = must(servers.Connect(harness.DialBroker))
	defer c.connection.Close()

	concern, place, send, workers := options.Database().SetWriteConcern(usualWriteConcern), c.placeUsual, sendUsual, 1
	switch c.Way {
	case original:
		concern, place, send = options.Database(), c.placeOriginal, logOrder
	case outboxed:
		place, send, workers = c.placeOutboxed, c.sendOutboxed, outboxedWorkers
	}
	c.db = servers.Database(name).Client().Database(name, concern)
	c.orders = c.db.Collection(harness.Orders)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	group, ctx := errgroup.WithContext(ctx)
	if c.Service == notifier {
		channel := must(c.connection.Channel())
		defer context.AfterFunc(ctx, func() { channel.Close() })() // ends the deliveries
		queue := must(c.declare(channel))
		if c.Way != original {
			check(channel.Qos(200, 0, false))
		}
		deliveries := must(channel.Consume(queue, "", c.Way == original, false, false, false, nil))
		for range workers {
			group.Go(func() error {
				for delivery := range deliveries {
					if err := send(delivery); err != nil && ctx.Err() == nil {
						return fmt.Errorf("notify: %w", err)
					}
				}
				return nil
			})
		}
	} else {
		if c.Way != original {
			c.openChannels()
		}
		if c.Way == outboxed {
			must(c.orders.Indexes().CreateOne(ctx, outboxIndex))
		}
		defer c.marks.Wait()
		mux.HandleFunc("POST /order", func(w http.ResponseWriter, r *http.Request) { handleOrder(w, r, place) })
	}
	server := &http.Server{Addr: c.Addr, Handler: mux}
	defer context.AfterFunc(ctx, func() { server.Close() })() // every request has its answer by then
	group.Go(server.ListenAndServe)
	if err := group.Wait(); !errors.Is(err, http.ErrServerClosed) {
		check(err)
	}
}

// wayOrder is an order in requests, in the store, in events and in answers.
type wayOrder struct {
	ID       string `json:"id" bson:"_id"`
	UserID   string `json:"user_id" bson:"user_id"`
	Product  string `json:"product" bson:"product"`
	Quantity int    `json:"quantity" bson:"quantity"`

	CreatedAt time.Time  `json:"-" bson:"created_at,omitempty"` // only in the ceiling
	Outbox    *wayOutbox `json:"-" bson:"outbox,omitempty"`     // until the event is published
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

// logOrder logs a notification as ours does.
func logOrder(delivery amqp.Delivery) error {
	var o wayOrder
	if err := json.Unmarshal(delivery.Body, &o); err != nil {
		return err
	}
	slog.Info("Received order", "event_id", delivery.MessageId, "order_id", o.ID, "user_id", o.UserID, "product", o.Product, "quantity", o.Quantity)
	return nil
}
