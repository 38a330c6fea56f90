package mongodb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"example.com/orderflow/adapters/internal/gather"
	"example.com/orderflow/ports"
)

// Store is a connection to one database.
type Store struct {
	client      *mongo.Client
	orders      *mongo.Collection
	deliveries  *mongo.Collection
	claimed     *mongo.Collection
	deadLetters *mongo.Collection
	timeout     time.Duration

	parts struct {
		orders      Orders
		deliveries  Deliveries
		deadLetters DeadLetters
	}

	additions *gather.Gatherer[addition]
	claims    *gather.Gatherer[newClaim]
	records   *gather.Gatherer[record]
}

var _ ports.Pinger = (*Store)(nil)

// Building an index over orders that are there already takes its time.
const indexTimeout = 10 * time.Minute

// Open connects to the database at url, creates the indexes that are missing,
// and returns once the server has answered. An error that wraps
// [ports.ErrUnavailable] names the host; waiting and opening again may help. If
// it wraps [ports.ErrRefused] too, somebody has to change the login or the
// rights first.
func Open(ctx context.Context, url string) (*Store, error) {
	return open(ctx, url, nil)
}

func open(ctx context.Context, url string, monitor *event.CommandMonitor) (*Store, error) {
	opts, database, err := parseURL(url)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	client, err := mongo.Connect(opts.SetMonitor(monitor))
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db := client.Database(database)
	s := &Store{
		client:      client,
		orders:      db.Collection("orders"),
		deliveries:  db.Collection("deliveries"),
		claimed:     db.Collection("delivery_claims"),
		deadLetters: db.Collection("dead_letters"),
		timeout:     *opts.Timeout,
	}
	s.parts.orders.store, s.parts.deliveries.store, s.parts.deadLetters.store = s, s, s
	s.additions = gather.New(s.insertOrders)
	s.claims = gather.New(s.insertClaims)
	s.records = gather.New(s.insertRecords)
	if err := s.prepare(ctx); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = client.Disconnect(closing)
		return nil, fmt.Errorf("open store at %s: %w", strings.Join(opts.Hosts, ","), err)
	}
	return s, nil
}

func (s *Store) prepare(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, indexTimeout)
	defer cancel()
	if err := createIndexes(ctx, s.orders, orderIndexes); err != nil {
		return err
	}
	if err := createIndexes(ctx, s.deliveries, deliveryIndexes); err != nil {
		return err
	}
	return createIndexes(ctx, s.deadLetters, deadLetterIndexes)
}

// Ping returns nil if the store does its work. It updates no order: unlike the
// driver's ping that needs the login, the right to write, and the majority.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	_, err := s.orders.UpdateOne(ctx, bson.M{"_id": bson.M{"$in": bson.A{}}}, bson.M{"$unset": bson.M{"ping": ""}})
	if err != nil {
		return fmt.Errorf("ping: %w", classify(ctx, err))
	}
	return nil
}

// Close waits for the calls in hand and closes every connection, at the latest
// when ctx ends.
func (s *Store) Close(ctx context.Context) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	s.additions.Close(ctx)
	s.claims.Close(ctx)
	s.records.Close(ctx)
	if err := s.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// orDefault returns the duration that was set, or the default where none was.
func orDefault(set, byDefault time.Duration) time.Duration {
	if set > 0 {
		return set
	}
	return byDefault
}

// bound gives a call its end, whatever its caller's context says.
func (s *Store) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}
