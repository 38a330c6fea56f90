package mongodb

import (
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// Monitored returns options with a monitor of what goes to the server.
func Monitored(monitor *event.CommandMonitor) Options { return Options{monitor: monitor} }

// Database returns the store's database, to look behind it.
func (s *Store) Database() *mongo.Database { return s.orders.Database() }
