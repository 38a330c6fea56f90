package mongodb

import (
	"context"
	"log/slog"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// MissedBeats is how many beats an owner misses before it has ended.
const MissedBeats = missedBeats

// Monitored returns options with a command monitor. Only Open writes a sign of life.
func Monitored(monitor *event.CommandMonitor) Options {
	return Options{monitor: monitor, beat: time.Hour}
}

// Beating returns options with that pause between two signs of life, and no log.
func Beating(pause time.Duration) Options {
	return Options{beat: pause, Logger: slog.New(slog.DiscardHandler)}
}

// Database returns the store's database.
func (s *Store) Database() *mongo.Database { return s.orders.Database() }

// Owner returns the store's id as the owner of claims.
func (s *Store) Owner() string { return s.owner.id }

// Round writes a sign of life and ends other owners, as the store does by itself.
func (s *Store) Round(ctx context.Context) error { return s.owner.round(ctx) }

// IsFresh reports whether the store's last sign of life is fresh.
func (s *Store) IsFresh() bool { return s.owner.isFresh() }

// Die ends the store's signs of life, as a crash does.
func (s *Store) Die() { s.owner.stop() }

// EndOwner ends another owner's claims on events.
func (s *Store) EndOwner(ctx context.Context, id string) error {
	return s.owner.end(ctx, id, bson.M{"_id": id})
}
