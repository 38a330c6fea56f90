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

	"example.com/orderflow/domain"
	"example.com/orderflow/services/cmd/proof/harness"
)

// The ceiling is what the servers can do for orders of our form without a service.
// Each worker inserts a batch, publishes it in one write with all confirms pending at
// once, and marks it as published. Meanwhile a consumer acknowledges in batches.
//
// It has no HTTP, no retries, no claims on deliveries and no records of them, and logs
// nothing.

const (
	ceilingQueue    = "bench_ceiling"
	ceilingBatch    = 256
	ceilingWorkers  = 8
	ceilingPrefetch = 2000
)

type ceiling struct {
	orders     *mongo.Collection
	publishing *amqp.Channel
	wire       *batchConn // of publishing
	turn       sync.Mutex // to publish
	deliveries <-chan amqp.Delivery

	inserted, consumed atomic.Int64
}

// batchConn can send many messages in one write. The library writes each by itself.
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

// batch calls do, and sends everything that it writes in one write.
func (c *batchConn) batch(do func() error) error {
	c.mu.Lock()
	c.held = true
	c.mu.Unlock()
	err := do()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	_, failed := c.Conn.Write(c.waiting)
	c.waiting = c.waiting[:0]
	return errors.Join(err, failed)
}

// measureCeiling runs the pipeline, and adds how many orders a second passed all of
// it.
func (b *bench) measureCeiling(ctx context.Context) {
	s := b.newStage("ceiling")
	defer s.close(ctx)
	c := &ceiling{orders: s.ordersLikeOurs(ctx)}
	publishing := must(b.servers.Connect(func(network, address string) (net.Conn, error) {
		conn, err := harness.DialBroker(network, address)
		c.wire = &batchConn{Conn: conn}
		return c.wire, err
	}))
	defer publishing.Close()
	consuming := must(b.servers.Connect(harness.DialBroker)) // acknowledgements don't wait behind events
	channel := must(consuming.Channel())
	must(channel.QueueDeclare(ceilingQueue, true, false, false, false, quorum))
	check(channel.Qos(ceilingPrefetch, 0, false))
	c.deliveries = must(channel.Consume(ceilingQueue, "", false, false, false, false, nil))
	c.publishing = must(publishing.Channel())
	check(c.publishing.Confirm(false))
	// A broker that lacks memory stops reading; a write to it ignores every context.
	bounded, cancel := context.WithTimeout(ctx, 2*b.duration+silence)
	defer cancel()
	defer context.AfterFunc(bounded, func() {
		publishing.CloseDeadline(time.Now())
		consuming.CloseDeadline(time.Now())
	})()
	var consumer sync.WaitGroup
	consumer.Go(c.consume)
	defer func() {
		consuming.Close() // ends the deliveries
		consumer.Wait()
	}()

	c.run(bounded, b.duration/5)
	before := readCPU()
	passed, took := c.run(bounded, b.duration)
	b.figures.addCPU("ceiling", before, readCPU(), passed)
	b.figures.add("ceiling", rate(passed, took))
	if waiting := must(s.database.Waiting(ctx, nil)); waiting > 0 {
		check(fmt.Errorf("ceiling: %d orders are not marked", waiting))
	}
}

// ordersLikeOurs returns a collection with our indexes.
func (s *stage) ordersLikeOurs(ctx context.Context) *mongo.Collection {
	s.fill(ctx, 0, true)
	return s.database.Collection(harness.Orders, options.Collection().SetWriteConcern(usualWriteConcern))
}

// measureInserts adds how many orders a second a single client inserts one after the
// other: the ceiling of a service that answers one at a time.
func (b *bench) measureInserts(ctx context.Context) {
	s := b.newStage("inserts")
	defer s.close(ctx)
	orders := s.ordersLikeOurs(ctx)
	insert := func(duration time.Duration) float64 {
		inserted, began := 0, time.Now()
		for ; time.Since(began) < duration; inserted++ {
			_, document, err := newOrder()
			check(err)
			must(orders.InsertOne(ctx, document))
		}
		return rate(inserted, time.Since(began))
	}
	insert(b.duration / 5)
	b.figures.add("inserts", insert(b.duration))
}

// newOrder returns an order's event, and its document as ours stores it.
func newOrder() (domain.Event, wayOrder, error) {
	now := time.Now()
	o, err := domain.NewOrder(domain.OrderID(newID()), "client-1", "Laptop", 1, now)
	return o.Created(), wayOrder{
		ID: string(o.ID), UserID: o.UserID, Product: o.Product, Quantity: o.Quantity,
		CreatedAt: o.CreatedAt, Outbox: &wayOutbox{now.Add(outboxedLease)},
	}, err
}

// run inserts for that long. It returns how many orders passed the whole pipeline, and
// the time that took.
func (c *ceiling) run(ctx context.Context, duration time.Duration) (passed int, took time.Duration) {
	earlier, began := c.consumed.Load(), time.Now()
	var workers errgroup.Group
	for range ceilingWorkers {
		workers.Go(func() (err error) {
			for err == nil && time.Since(began) < duration {
				err = c.pass(ctx)
			}
			return err
		})
	}
	err := workers.Wait()
	for err == nil && c.consumed.Load() < c.inserted.Load() {
		if !harness.Sleep(ctx, time.Millisecond) {
			err = ctx.Err()
		}
	}
	if err != nil {
		check(fmt.Errorf("ceiling: %d orders inserted, %d events consumed: %w", c.inserted.Load(), c.consumed.Load(), err))
	}
	return int(c.consumed.Load() - earlier), time.Since(began)
}

// pass inserts a batch, publishes it, and marks it.
func (c *ceiling) pass(ctx context.Context) error {
	ids := make([]string, ceilingBatch)
	documents := make([]wayOrder, ceilingBatch)
	messages := make([]amqp.Publishing, ceilingBatch)
	promises := make([]*amqp.DeferredConfirmation, ceilingBatch)
	for i := range ceilingBatch {
		event, document, err := newOrder()
		if err == nil {
			messages[i], err = harness.EventMessage(event)
		}
		if err != nil {
			return err
		}
		ids[i], documents[i] = document.ID, document
	}
	if _, err := c.orders.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false)); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	c.inserted.Add(ceilingBatch)

	c.turn.Lock()
	err := c.wire.batch(func() (err error) {
		for i := 0; i < ceilingBatch && err == nil; i++ {
			promises[i], err = c.publishing.PublishWithDeferredConfirm("", ceilingQueue, false, false, messages[i])
		}
		return err
	})
	c.turn.Unlock()
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	for _, promise := range promises {
		if err := awaitConfirm(ctx, promise); err != nil {
			return err
		}
	}
	if _, err := c.orders.UpdateMany(ctx, bson.M{"_id": bson.M{"$in": ids}}, unmark); err != nil {
		return fmt.Errorf("mark: %w", err)
	}
	return nil
}

// consume acknowledges whole batches at once, and the rest at intervals, until the
// connection ends.
func (c *ceiling) consume() {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	var last amqp.Delivery
	for waiting := 0; ; {
		select {
		case delivery, open := <-c.deliveries:
			if !open {
				return
			}
			last = delivery
			if waiting++; waiting < ceilingBatch {
				continue
			}
		case <-ticker.C:
		}
		if waiting > 0 && last.Ack(true) == nil { // after an error the connection ends
			c.consumed.Add(int64(waiting))
			waiting = 0
		}
	}
}
