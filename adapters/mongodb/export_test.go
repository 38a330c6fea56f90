package mongodb

import "go.mongodb.org/mongo-driver/v2/mongo"

// OpenMonitored is Open with an eye on what goes to the server.
var OpenMonitored = open

// Database returns the store's database, to look behind it.
func (s *Store) Database() *mongo.Database { return s.orders.Database() }
