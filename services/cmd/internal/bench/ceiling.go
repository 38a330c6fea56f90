package main

import (
	"context"
	"errors"
	"fmt"
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
// answer. Batches are inserted, published with all confirmations on their way
// at once, marked as published, consumed, and acknowledged in batches, all at
// the same time; a stage that is ahead waits for the one behind it.
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
	publishing *amqp.Channel
	consuming  *amqp.Channel

	inserted  chan []domain.Event
	published chan sentBatch
	consumed  atomic.Int64
}

// sentBatch is on its way to the broker.
type sentBatch struct {
	ids      []string // of the orders
	promises []*amqp.DeferredConfirmation
}

// measureCeiling runs the pipeline and returns how many orders a second went
// through all of it.
func (b *bench) measureCeiling(ctx context.Context) (rate float64, err error) {
	d := b.servers.newDatabase()
	store, err := mongodb.Open(ctx, d.url) // for the indexes of ours
	if err != nil {
		return 0, err
	}
	if err := store.Close(ctx); err != nil {
		return 0, err
	}
	c := &ceiling{
		orders:   d.Collection("orders", options.Collection().SetWriteConcern(usualWriteConcern)),
		inserted: make(chan []domain.Event, ceilingAhead), published: make(chan sentBatch, ceilingAhead),
	}
	for _, channel := range []**amqp.Channel{&c.publishing, &c.consuming} {
		connection, err := b.servers.connect() // one each: acknowledgements don't wait behind events
		if err != nil {
			return 0, err
		}
		defer connection.Close()
		if *channel, err = connection.Channel(); err != nil {
			return 0, err
		}
	}
	before := readCPU()
	if rate, err = c.run(ctx, b.duration); err != nil {
		return 0, fmt.Errorf("ceiling: %w", err)
	}
	b.figures.addCPU("ceiling", before, readCPU(), int(c.consumed.Load()))
	if waiting, err := c.orders.CountDocuments(ctx, bson.M{"outbox": bson.M{"$exists": true}}); err != nil || waiting > 0 {
		return 0, errors.Join(fmt.Errorf("ceiling: %d orders are not marked", waiting), err)
	}
	return rate, b.servers.drop(ctx, d)
}

// measureInsert returns how many orders a second a single client of the store
// inserts one after the other: the ceiling of whoever answers one at a time.
func (b *bench) measureInsert(ctx context.Context) (rate float64, err error) {
	d := b.servers.newDatabase()
	store, err := mongodb.Open(ctx, d.url)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close(ctx), b.servers.drop(ctx, d)) }()
	orders := store.Orders()
	inserted, began := 0, time.Now()
	for time.Since(began) < b.duration {
		order, err := domain.NewOrder(domain.OrderID(newID()), "client-1", "Laptop", 1, time.Now())
		if err != nil {
			return 0, err
		}
		if err := orders.Add(ctx, order); err != nil {
			return 0, err
		}
		inserted++
	}
	return float64(inserted) / time.Since(began).Seconds(), nil
}

func (c *ceiling) run(ctx context.Context, duration time.Duration) (float64, error) {
	deliveries, err := c.prepare()
	if err != nil {
		return 0, err
	}
	ctx, giveUp := context.WithTimeout(ctx, duration+silence)
	defer giveUp()
	var failed error
	var once sync.Once
	do := func(stage func(context.Context) error) func() {
		return func() {
			if err := stage(ctx); err != nil {
				once.Do(func() { failed = err; giveUp() })
			}
		}
	}
	var inserting, publishing, marking, consuming sync.WaitGroup
	var inserted atomic.Int64
	began := time.Now()
	for range ceilingInserters {
		inserting.Go(do(func(ctx context.Context) error { return c.insert(ctx, began.Add(duration), &inserted) }))
	}
	publishing.Go(do(c.publish))
	for range ceilingMarkers {
		marking.Go(do(c.mark))
	}
	consuming.Go(do(func(context.Context) error { return c.consume(deliveries) }))

	inserting.Wait()
	close(c.inserted)
	publishing.Wait()
	close(c.published)
	marking.Wait()
	for c.consumed.Load() < inserted.Load() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	if err := c.consuming.Close(); err != nil { // which ends the deliveries
		return 0, err
	}
	consuming.Wait()
	if failed != nil {
		return 0, failed
	}
	if consumed := c.consumed.Load(); consumed != inserted.Load() {
		return 0, fmt.Errorf("%d orders inserted, %d events consumed", inserted.Load(), consumed)
	}
	return float64(inserted.Load()) / took.Seconds(), nil
}

func (c *ceiling) prepare() (<-chan amqp.Delivery, error) {
	if _, err := c.consuming.QueueDeclare(ceilingQueue, true, false, false, false, quorum); err != nil {
		return nil, err
	}
	if err := c.publishing.Confirm(false); err != nil {
		return nil, err
	}
	if err := c.consuming.Qos(ceilingPrefetch, 0, false); err != nil {
		return nil, err
	}
	return c.consuming.Consume(ceilingQueue, "", false, false, false, false, nil)
}

// insert inserts one batch after the other until then.
func (c *ceiling) insert(ctx context.Context, until time.Time, inserted *atomic.Int64) error {
	unordered := options.InsertMany().SetOrdered(false)
	for time.Now().Before(until) {
		events := make([]domain.Event, ceilingBatch)
		documents := make([]bson.D, ceilingBatch)
		now := time.Now()
		for i := range events {
			order, err := domain.NewOrder(domain.OrderID(newID()), "client-1", "Laptop", 1, now)
			if err != nil {
				return err
			}
			events[i] = order.Created()
			documents[i] = bson.D{
				{Key: "_id", Value: string(order.ID)}, {Key: "user_id", Value: order.UserID}, {Key: "product", Value: order.Product},
				{Key: "quantity", Value: order.Quantity}, {Key: "created_at", Value: order.CreatedAt},
				{Key: "outbox", Value: bson.D{{Key: "free_at", Value: now.Add(15 * time.Second)}}},
			}
		}
		if _, err := c.orders.InsertMany(ctx, documents, unordered); err != nil {
			return fmt.Errorf("insert: %w", err)
		}
		inserted.Add(ceilingBatch)
		select {
		case c.inserted <- events:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *ceiling) publish(ctx context.Context) error {
	for events := range c.inserted {
		batch := sentBatch{make([]string, len(events)), make([]*amqp.DeferredConfirmation, len(events))}
		for i, event := range events {
			m, err := wire.Encode(event)
			if err != nil {
				return err
			}
			headers := make(amqp.Table, len(m.Headers))
			for name, value := range m.Headers {
				headers[name] = value
			}
			batch.ids[i] = string(event.Order.ID)
			batch.promises[i], err = c.publishing.PublishWithDeferredConfirm("", ceilingQueue, true, false, amqp.Publishing{
				Headers: headers, ContentType: m.ContentType, DeliveryMode: amqp.Persistent, MessageId: m.ID, Body: m.Body,
			})
			if err != nil {
				return fmt.Errorf("publish: %w", err)
			}
		}
		select {
		case c.published <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *ceiling) mark(ctx context.Context) error {
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
func (c *ceiling) consume(deliveries <-chan amqp.Delivery) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	var last amqp.Delivery
	waiting := 0
	for {
		select {
		case delivery, open := <-deliveries:
			if !open {
				return nil
			}
			last = delivery
			if waiting++; waiting < ceilingBatch {
				continue
			}
		case <-ticker.C:
			if waiting == 0 {
				continue
			}
		}
		if err := last.Ack(true); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
		c.consumed.Add(int64(waiting))
		waiting = 0
	}
}
