package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/services/cmd/proof/harness"
)

// The ceiling is what the servers can do for orders of our form without a service.
// Batches are inserted, published in one write with all confirms pending at once,
// marked as published, consumed, and acknowledged in batches, all at the same time.
// A stage that is ahead waits for the next.
//
// It has no HTTP, no retries, no claims on deliveries and no records of them, and logs
// nothing.

const (
	ceilingBatch     = 256
	ceilingInserters = 4
	ceilingMarkers   = 2
	ceilingAhead     = 4 // batches between two stages
	ceilingPrefetch  = 2000
)

type ceiling struct {
	orders     *mongo.Collection
	publishing line
	consuming  line
	deliveries <-chan amqp.Delivery
}

// line is a channel with a connection of its own.
type line struct {
	*amqp.Channel
	connection *amqp.Connection
	wire       *batchConn
}

// batchConn sends a batch in one write. The library writes each message by itself.
type batchConn struct {
	net.Conn

	mu      sync.Mutex // the library's heartbeats write too
	held    bool
	waiting []byte
}

func (c *batchConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.held {
		return c.Conn.Write(p)
	}
	c.waiting = append(c.waiting, p...)
	return len(p), nil
}

// hold delays all writes until release.
func (c *batchConn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
}

func (c *batchConn) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	_, err := c.Conn.Write(c.waiting)
	c.waiting = c.waiting[:0]
	if err != nil {
		c.Conn.Close() // the peer would read later bytes as the rest of the batch
	}
	return err
}

func (s *servers) openLine() (l line, err error) {
	l.connection, err = s.Connect(func(network, address string) (net.Conn, error) {
		conn, err := harness.DialBroker(network, address)
		l.wire = &batchConn{Conn: conn}
		return l.wire, err
	})
	if err != nil {
		return l, err
	}
	if l.Channel, err = l.connection.Channel(); err != nil {
		l.connection.Close()
	}
	return l, err
}

// measureCeiling runs the pipeline, and adds how many orders a second passed all of
// it.
func (b *bench) measureCeiling(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("ceiling: %w", err)
		}
	}()
	d, orders, err := b.newOrders(ctx)
	if err != nil {
		return err
	}
	c := &ceiling{orders: orders}
	for _, l := range []*line{&c.publishing, &c.consuming} { // acknowledgements don't wait behind events
		if *l, err = b.servers.openLine(); err != nil {
			return err
		}
		defer l.connection.Close()
	}
	if err := c.prepare(); err != nil {
		return err
	}
	if _, _, err := c.run(ctx, b.duration/5); err != nil {
		return err
	}
	before := readCPU()
	passed, took, err := c.run(ctx, b.duration)
	if err != nil {
		return err
	}
	b.figures.addCPU("ceiling", before, readCPU(), passed)
	b.figures.add("ceiling", rate(passed, took))
	if waiting, err := d.Waiting(ctx, nil); err != nil || waiting > 0 {
		return errors.Join(fmt.Errorf("%d orders are not marked", waiting), err)
	}
	return b.servers.drop(ctx, d)
}

// newOrders returns a collection with our indexes.
func (b *bench) newOrders(ctx context.Context) (harness.Database, *mongo.Collection, error) {
	d := b.servers.newDatabase()
	store, err := mongodb.Open(ctx, d.URL.String(), mongodb.Options{})
	if err != nil {
		return d, nil, err
	}
	return d, d.Collection(harness.Orders, options.Collection().SetWriteConcern(usualWriteConcern)), store.Close(ctx)
}

// measureInserts adds how many orders a second a single client inserts one after the
// other: the ceiling of a service that answers one at a time.
func (b *bench) measureInserts(ctx context.Context) error {
	d, orders, err := b.newOrders(ctx)
	if err != nil {
		return err
	}
	var inserted int
	var took time.Duration
	for _, duration := range []time.Duration{b.duration / 5, b.duration} { // the first warms up
		began := time.Now()
		for inserted = 0; time.Since(began) < duration; inserted++ {
			_, document, err := newDocument(time.Now())
			if err != nil {
				return err
			}
			if _, err := orders.InsertOne(ctx, document); err != nil {
				return fmt.Errorf("insert: %w", err)
			}
		}
		took = time.Since(began)
	}
	b.figures.add("inserts", rate(inserted, took))
	return b.servers.drop(ctx, d)
}

// newDocument returns an order's event, and its document as ours stores it.
func newDocument(now time.Time) (domain.Event, bson.D, error) {
	order, err := domain.NewOrder(domain.OrderID(newID()), "client-1", "Laptop", 1, now)
	return order.Created(), bson.D{
		{Key: "_id", Value: string(order.ID)}, {Key: "user_id", Value: order.UserID}, {Key: "product", Value: order.Product},
		{Key: "quantity", Value: order.Quantity}, {Key: "created_at", Value: order.CreatedAt},
		{Key: "outbox", Value: bson.D{{Key: "free_at", Value: now.Add(15 * time.Second)}}},
	}, err
}

func (c *ceiling) prepare() (err error) {
	if _, err := c.consuming.QueueDeclare(ceilingQueue, true, false, false, false, quorum); err != nil {
		return err
	}
	if err := c.publishing.Confirm(false); err != nil {
		return err
	}
	if err := c.consuming.Qos(ceilingPrefetch, 0, false); err != nil {
		return err
	}
	c.deliveries, err = c.consuming.Consume(ceilingQueue, "", false, false, false, false, nil)
	return err
}

// ceilingRun is one run of the pipeline.
type ceilingRun struct {
	*ceiling
	inserted  chan []domain.Event
	published chan sentBatch
	marked    chan struct{} // closed after the last mark

	count, consumed atomic.Int64 // orders inserted, events consumed
}

// sentBatch waits for the broker's confirms.
type sentBatch struct {
	ids      []string // of the orders
	promises []*amqp.DeferredConfirmation
}

// run inserts for that long. It returns how many orders passed the whole pipeline, and
// the time that took.
func (c *ceiling) run(ctx context.Context, duration time.Duration) (int, time.Duration, error) {
	r := &ceilingRun{
		ceiling: c, inserted: make(chan []domain.Event, ceilingAhead), published: make(chan sentBatch, ceilingAhead),
		marked: make(chan struct{}),
	}
	ctx, cancel := context.WithTimeout(ctx, duration+silence)
	defer cancel()
	// A broker that lacks memory stops reading; a write to it ignores every context.
	defer context.AfterFunc(ctx, func() { c.publishing.wire.Close(); c.consuming.wire.Close() })()
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(r.inserted)
		return inParallel(ceilingInserters, func() error { return r.insert(ctx, began.Add(duration)) })
	})
	group.Go(func() error {
		defer close(r.published)
		return r.publish(ctx)
	})
	group.Go(func() error {
		defer close(r.marked)
		return inParallel(ceilingMarkers, func() error { return r.mark(ctx) })
	})
	group.Go(func() error { return r.consume(ctx) })
	if err := group.Wait(); err != nil {
		return 0, 0, fmt.Errorf("%d orders inserted, %d events consumed: %w", r.count.Load(), r.consumed.Load(), err)
	}
	return int(r.consumed.Load()), time.Since(began), nil
}

func inParallel(n int, do func() error) error {
	var group errgroup.Group
	for range n {
		group.Go(do)
	}
	return group.Wait()
}

// insert inserts one batch after the other.
func (r *ceilingRun) insert(ctx context.Context, until time.Time) error {
	unordered := options.InsertMany().SetOrdered(false)
	for time.Now().Before(until) {
		events := make([]domain.Event, ceilingBatch)
		documents := make([]bson.D, ceilingBatch)
		now := time.Now()
		for i := range events {
			var err error
			if events[i], documents[i], err = newDocument(now); err != nil {
				return err
			}
		}
		if _, err := r.orders.InsertMany(ctx, documents, unordered); err != nil {
			return fmt.Errorf("insert: %w", err)
		}
		r.count.Add(ceilingBatch)
		select {
		case r.inserted <- events:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (r *ceilingRun) publish(ctx context.Context) error {
	for events := range r.inserted {
		r.publishing.wire.hold()
		batch, err := r.issue(events)
		if err := errors.Join(err, r.publishing.wire.release()); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		select {
		case r.published <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// issue hands a batch to the library.
func (r *ceilingRun) issue(events []domain.Event) (sentBatch, error) {
	batch := sentBatch{make([]string, len(events)), make([]*amqp.DeferredConfirmation, len(events))}
	for i, event := range events {
		m, err := harness.EventMessage(event)
		if err != nil {
			return batch, err
		}
		batch.ids[i] = string(event.Order.ID)
		batch.promises[i], err = r.publishing.PublishWithDeferredConfirm("", ceilingQueue, false, false, m)
		if err != nil {
			return batch, err
		}
	}
	return batch, nil
}

func (r *ceilingRun) mark(ctx context.Context) error {
	for batch := range r.published {
		for _, promise := range batch.promises {
			if err := awaitConfirm(ctx, promise); err != nil {
				return err
			}
		}
		_, err := r.orders.UpdateMany(ctx, bson.M{"_id": bson.M{"$in": batch.ids}}, bson.M{"$unset": bson.M{"outbox": ""}})
		if err != nil {
			return fmt.Errorf("mark: %w", err)
		}
	}
	return nil
}

// consume acknowledges whole batches at once, and the rest at intervals. It returns
// once every order is marked and its event consumed.
func (r *ceilingRun) consume(ctx context.Context) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	marked := r.marked
	var last amqp.Delivery
	for waiting := 0; marked != nil || r.consumed.Load() < r.count.Load(); {
		select {
		case delivery, open := <-r.deliveries:
			if !open {
				return errors.New("the broker ended the deliveries")
			}
			last = delivery
			if waiting++; waiting < ceilingBatch {
				continue
			}
		case <-ticker.C:
		case <-marked:
			marked = nil
		case <-ctx.Done():
			return ctx.Err()
		}
		if waiting == 0 {
			continue
		}
		if err := last.Ack(true); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
		r.consumed.Add(int64(waiting))
		waiting = 0
	}
	return nil
}
