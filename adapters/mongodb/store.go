package mongodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/internal/gather"
	"example.com/orderflow/ports"
)

// Options are the settings of a store. A duration of 0 or less means the default.
type Options struct {
	Logger              *slog.Logger  // nil: slog.Default()
	OutboxLease         time.Duration // how long a claim on an event lasts; default: 15 s
	DeliveryLease       time.Duration // how long a claim on a delivery lasts; default: 45 s
	DeadLetterRetention time.Duration // how long settled dead letters are kept; default: ports.DeadLetterRetention
	ActionRetention     time.Duration // how long operators' actions are kept; default: ports.OperatorActionRetention
	KeepIndexes         bool          // Open builds and drops no indexes; it logs which are missing

	// For tests.
	monitor *event.CommandMonitor
	beat    time.Duration // the pause between two signs of life
}

func (o Options) withDefaults() Options {
	byDefault := func(set *time.Duration, usual time.Duration) {
		if *set <= 0 {
			*set = usual
		}
	}
	o.Logger = cmp.Or(o.Logger, slog.Default())
	byDefault(&o.OutboxLease, 15*time.Second)
	byDefault(&o.DeliveryLease, 45*time.Second)
	byDefault(&o.DeadLetterRetention, ports.DeadLetterRetention)
	byDefault(&o.ActionRetention, ports.OperatorActionRetention)
	byDefault(&o.beat, beatInterval)
	return o
}

// Store is a connection to one database. [Store.Orders], [Store.Deliveries],
// [Store.DeadLetters], [Store.Contacts], [Store.ChannelStates] and [Store.OperatorActions]
// return its parts, the same ones each time.
type Store struct {
	options     Options
	timeout     time.Duration
	client      *mongo.Client
	orders      *mongo.Collection
	deliveries  *mongo.Collection
	claimed     *mongo.Collection
	deadLetters *mongo.Collection
	contacts    *mongo.Collection
	channels    *mongo.Collection
	pauses      *mongo.Collection
	actions     *mongo.Collection
	owners      *mongo.Collection
	counts      *mongo.Collection
	owner       *owner

	orderCounter    *counter
	deliveryCounter *counter

	parts struct {
		orders      Orders
		deliveries  Deliveries
		deadLetters DeadLetters
		contacts    Contacts
		states      ChannelStates
		actions     OperatorActions
	}

	additions *gather.Gatherer[addition]
	claims    *gather.Gatherer[newClaim]
	records   *gather.Gatherer[record]

	replacements *gather.Gatherer[replacement]
}

var _ ports.Pinger = (*Store)(nil)

// indexTimeout is long, because the database may hold many orders when an index is
// built.
const indexTimeout = 10 * time.Minute

// Open connects to the database at url, builds missing indexes, and returns once
// the server has answered. [BuildIndexes] builds them beforehand. An error that wraps [ports.ErrUnavailable] names the
// host; opening again later may help. If it also wraps [ports.ErrRefused], a person
// has to change the login or the rights first.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	s, opts, err := connect(url, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		s.disconnect(ctx)
		return nil, fmt.Errorf("open store at %s: %w", strings.Join(opts.Hosts, ","), explainTLS(ctx, opts, err))
	}
	return s, nil
}

// connect returns a store that has not talked to the server yet, and has no owner.
func connect(url string, o Options) (*Store, *options.ClientOptions, error) {
	opts, database, err := parseURL(url)
	if err != nil {
		return nil, nil, err
	}
	client, err := mongo.Connect(opts.SetMonitor(o.monitor))
	if err != nil {
		return nil, nil, err
	}
	db := client.Database(database)
	s := &Store{
		options:     o.withDefaults(),
		timeout:     *opts.Timeout,
		client:      client,
		orders:      db.Collection("orders"),
		deliveries:  db.Collection("deliveries"),
		claimed:     db.Collection("delivery_claims"),
		deadLetters: db.Collection("dead_letters"),
		contacts:    db.Collection("contacts"),
		channels:    db.Collection("channels"),
		pauses:      db.Collection("pauses"),
		actions:     db.Collection("operator_actions"),
		owners:      db.Collection("owners"),
		counts:      db.Collection("counts"),
	}
	s.parts.orders.store, s.parts.deliveries.store, s.parts.deadLetters.store = s, s, s
	s.parts.contacts.store, s.parts.states.store, s.parts.actions.store = s, s, s
	s.newCounters()
	s.additions = gather.New(s.insertOrders)
	s.claims = gather.New(s.insertClaims)
	s.records = gather.New(s.insertRecords)
	s.replacements = gather.New(s.writeReplacements)
	return s, opts, nil
}

// disconnect closes the connections of a store that has no owner.
func (s *Store) disconnect(ctx context.Context) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = s.client.Disconnect(closing)
}

func (s *Store) prepare(ctx context.Context) (err error) {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, indexTimeout)
	defer cancel()
	if s.options.KeepIndexes {
		s.logMissingIndexes(ctx)
	} else if err := s.buildIndexes(ctx, func(IndexProgress) {}); err != nil {
		return err
	}
	s.owner, err = newOwner(ctx, s)
	return err
}

// Ping returns nil if the store works. Unlike the driver's ping, it needs the
// login, the right to write, and the majority: it is an update that matches no
// order.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	_, err := s.orders.UpdateOne(ctx, bson.M{"_id": bson.M{"$in": bson.A{}}}, bson.M{"$unset": bson.M{"ping": ""}})
	if err != nil {
		return fmt.Errorf("ping: %w", classify(ctx, err))
	}
	return nil
}

// Close waits for calls that have begun, ends the store's claims, and closes every
// connection, at the latest when ctx ends.
func (s *Store) Close(ctx context.Context) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	s.additions.Close(ctx)
	s.claims.Close(ctx)
	s.records.Close(ctx)
	s.replacements.Close(ctx)
	s.owner.close(ctx)
	if err := s.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// bound limits a call to the store's timeout, even if its context allows more.
func (s *Store) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

// describe prefixes an error with what was attempted.
func describe(err *error, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), *err)
	}
}

// insert writes the documents of several callers and returns an error for each. It
// takes at most half of a call's timeout, so that on a silently dead connection the
// callers of the next write have time left.
func insert[T any](ctx context.Context, s *Store, into *mongo.Collection, documents []T) []error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout/2)
	defer cancel()
	_, err := into.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	return splitError(len(documents), err)
}

// splitError returns an error for each of the n items of an unordered write, as if
// the item had been written alone. A write error concerns one item; a failed write
// concern concerns all of them.
func splitError(n int, err error) []error {
	var bulk mongo.BulkWriteException
	if !errors.As(err, &bulk) {
		return slices.Repeat([]error{err}, n)
	}
	if bulk.WriteConcernError != nil || len(bulk.WriteErrors) == 0 {
		return slices.Repeat([]error{mongo.WriteException{WriteConcernError: bulk.WriteConcernError, Labels: bulk.Labels}}, n)
	}
	errs := make([]error, n)
	for _, e := range bulk.WriteErrors {
		errs[e.Index] = mongo.WriteException{WriteErrors: mongo.WriteErrors{e.WriteError}, Labels: bulk.Labels}
	}
	return errs
}
