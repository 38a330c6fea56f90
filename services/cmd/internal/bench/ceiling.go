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

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
)

// The ceiling: what the servers can do for orders of our form, with nobody to
// answer. Batches are inserted, published in one write with all confirmations on
// their way at once, marked as published, consumed, and acknowledged in batches,
// all at the same time; a stage that is ahead waits for the one behind it.
//
// It has no HTTP, no retries, no claims on deliveries and no record of them,
// and logs nothing.

const (
	ceilingBatch     = 256
	ceilingInserters = 4
	ceilingMarkers   = 2
	ceilingAhead     = 4 // batches that wait between two stages
	ceilingPrefetch  = 2000
)

type ceiling struct {
	orders     *mongo.Collection
	publishing line
	consuming  line
	deliveries <-chan amqp.Delivery
}

// ceilingRun is a while of it.
type ceilingRun struct {
	*ceiling
	inserted  chan []domain.Event
	published chan sentBatch

	ordersIn atomic.Int64
	consumed atomic.Int64
}

// line is a channel, which has a connection to itself.
type line struct {
	*amqp.Channel
	connection *amqp.Connection
	wire       *batchConn
}

// batchConn sends a batch in one write, where the library writes each message by
// itself.
type batchConn struct {
	net.Conn

	mu      sync.Mutex // heartbeats come meanwhile
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

// hold has what is written wait for release.
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
		c.Conn.Close() // what came now would be taken for the rest of the batch
	}
	return err
}

func (s *servers) openLine() (l line, err error) {
	l.connection, err = s.connect(func(network, address string) (net.Conn, error) {
		conn, err := dialBroker(network, address)
		if err != nil {
			return nil, err
		}
		l.wire = &batchConn{Conn: conn}
		return l.wire, nil
	})
	if err != nil {
		return l, err
	}
	if l.Channel, err = l.connection.Channel(); err != nil {
		l.connection.Close()
	}
	return l, err
}

// sentBatch is on its way to the broker.
type sentBatch struct {
	ids      []string // of the orders
	promises []*amqp.DeferredConfirmation
}

// measureCeiling runs the pipeline, and adds how many orders a second went
// through all of it.
func (b *bench) measureCeiling(ctx context.Context) error {
	d, orders, err := b.likeOurs(ctx)
	if err != nil {
		return err
	}
	c := &ceiling{orders: orders}
	for _, l := range []*line{&c.publishing, &c.consuming} { // one each: acknowledgements don't wait behind events
		if *l, err = b.servers.openLine(); err != nil {
			return err
		}
		defer l.connection.Close()
	}
	if err := c.prepare(); err != nil {
		return fmt.Errorf("ceiling: %w", err)
	}
	if _, _, err := c.run(ctx, b.duration/5); err != nil {
		return fmt.Errorf("ceiling: %w", err)
	}
	before := readCPU()
	passed, took, err := c.run(ctx, b.duration)
	if err != nil {
		return fmt.Errorf("ceiling: %w", err)
	}
	b.figures.addCPU("ceiling", before, readCPU(), passed)
	b.figures.add("ceiling", rate(passed, took))
	if waiting, err := countWaiting(ctx, orders); err != nil || waiting > 0 {
		return errors.Join(fmt.Errorf("ceiling: %d orders are not marked", waiting), err)
	}
	return b.servers.drop(ctx, d)
}

// likeOurs is a collection with the indexes of ours.
func (b *bench) likeOurs(ctx context.Context) (database, *mongo.Collection, error) {
	d := b.servers.newDatabase()
	store, err := mongodb.Open(ctx, d.url, mongodb.Options{})
	if err != nil {
		return d, nil, err
	}
	return d, d.Collection("orders", options.Collection().SetWriteConcern(usualWriteConcern)), store.Close(ctx)
}

// countWaiting counts the orders that are in the outbox.
func countWaiting(ctx context.Context, orders *mongo.Collection) (int64, error) {
	return orders.CountDocuments(ctx, bson.M{"outbox": bson.M{"$exists": true}})
}

// measureInsert adds how many orders a second a single client of the store
// inserts one after the other: the ceiling of whoever answers one at a time.
func (b *bench) measureInsert(ctx context.Context) error {
	d, orders, err := b.likeOurs(ctx)
	if err != nil {
		return err
	}
	var inserted int
	var took time.Duration
	for _, duration := range []time.Duration{b.duration / 5, b.duration} { // the first to warm up
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

// run inserts for so long, and returns how many orders went through all of the
// pipeline, and how long that took.
func (c *ceiling) run(ctx context.Context, duration time.Duration) (int, time.Duration, error) {
	r := &ceilingRun{ceiling: c, inserted: make(chan []domain.Event, ceilingAhead), published: make(chan sentBatch, ceilingAhead)}
	ctx, cancel := context.WithTimeout(ctx, duration+silence)
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	// A broker that lacks memory reads no more, and whoever writes to it waits,
	// without regard to any context.
	defer context.AfterFunc(ctx, func() { c.publishing.wire.Close(); c.consuming.wire.Close() })()
	do := func(stage func(context.Context) error) func() {
		return func() {
			if err := stage(ctx); err != nil {
				giveUp(err)
			}
		}
	}
	var inserting, publishing, marking, consuming sync.WaitGroup
	began := time.Now()
	for range ceilingInserters {
		inserting.Go(do(func(ctx context.Context) error { return r.insert(ctx, began.Add(duration)) }))
	}
	publishing.Go(do(r.publish))
	for range ceilingMarkers {
		marking.Go(do(r.mark))
	}
	consumed := make(chan struct{})
	consuming.Go(do(func(ctx context.Context) error { return r.consume(ctx, consumed) }))

	inserting.Wait()
	close(r.inserted)
	publishing.Wait()
	close(r.published)
	marking.Wait()
	for r.consumed.Load() < r.ordersIn.Load() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	close(consumed)
	consuming.Wait()
	in, out := r.ordersIn.Load(), r.consumed.Load()
	if err := context.Cause(ctx); err != nil || in != out {
		return 0, 0, errors.Join(err, fmt.Errorf("%d orders inserted, %d events consumed", in, out))
	}
	return int(out), took, nil
}

// insert inserts one batch after the other until then.
func (c *ceilingRun) insert(ctx context.Context, until time.Time) error {
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
		if _, err := c.orders.InsertMany(ctx, documents, unordered); err != nil {
			return fmt.Errorf("insert: %w", err)
		}
		c.ordersIn.Add(ceilingBatch)
		select {
		case c.inserted <- events:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *ceilingRun) publish(ctx context.Context) error {
	for events := range c.inserted {
		c.publishing.wire.hold()
		batch, err := c.issue(events)
		if err := errors.Join(err, c.publishing.wire.release()); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		select {
		case c.published <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// issue hands a batch to the library.
func (c *ceilingRun) issue(events []domain.Event) (sentBatch, error) {
	batch := sentBatch{make([]string, len(events)), make([]*amqp.DeferredConfirmation, len(events))}
	for i, event := range events {
		m, err := wire.Encode(event)
		if err != nil {
			return batch, err
		}
		headers := make(amqp.Table, len(m.Headers))
		for name, value := range m.Headers {
			headers[name] = value
		}
		batch.ids[i] = string(event.Order.ID)
		batch.promises[i], err = c.publishing.PublishWithDeferredConfirm("", ceilingQueue, false, false, amqp.Publishing{
			Headers: headers, ContentType: m.ContentType, DeliveryMode: amqp.Persistent, MessageId: m.ID, Body: m.Body,
		})
		if err != nil {
			return batch, err
		}
	}
	return batch, nil
}

func (c *ceilingRun) mark(ctx context.Context) error {
	for batch := range c.published {
		for _, promise := range batch.promises {
			kept, err := promise.WaitContext(ctx)
			if err == nil && !kept {
				err = errors.New("the broker refused an event")
			}
			if err != nil {
				return fmt.Errorf("publish: %w", err)
			}
		}
		_, err := c.orders.UpdateMany(ctx, bson.M{"_id": bson.M{"$in": batch.ids}}, bson.M{"$unset": bson.M{"outbox": ""}})
		if err != nil {
			return fmt.Errorf("mark: %w", err)
		}
	}
	return nil
}

// consume acknowledges by the batch, and what does not fill one at intervals.
func (c *ceilingRun) consume(ctx context.Context, done <-chan struct{}) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	var last amqp.Delivery
	waiting := 0
	for {
		select {
		case delivery, open := <-c.deliveries:
			if !open {
				return errors.New("the broker ended the deliveries")
			}
			last = delivery
			if waiting++; waiting < ceilingBatch {
				continue
			}
		case <-ticker.C:
			if waiting == 0 {
				continue
			}
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := last.Ack(true); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
		c.consumed.Add(int64(waiting))
		waiting = 0
	}
}
