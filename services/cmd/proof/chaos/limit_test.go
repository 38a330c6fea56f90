package main

import (
	"testing"

	"example.com/orderflow/services/cmd/proof/harness"
)

// testServers are never connected to. Their database is "db".
func testServers(t *testing.T, store, broker string) *servers {
	t.Helper()
	opened, err := harness.OpenServers(store, broker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close(t.Context()) })
	return &servers{Servers: opened, database: opened.Database("db")}
}

// The servers of the queue limit differ in virtual host and database alone.
func TestApart(t *testing.T) {
	for _, tt := range []struct{ store, broker, wantStore, wantBroker string }{
		{"mongodb://h:1/db", "amqp://h:2", "mongodb://h:1/new", "amqp://h:2/new"},
		{"mongodb://u:p@h:1/db?x=y", "amqp://u:p@h:2/", "mongodb://u:p@h:1/new?x=y", "amqp://u:p@h:2/new"},
		{"mongodb://h:1/db", "amqp://h:2/old%2Fvhost", "mongodb://h:1/new", "amqp://h:2/new"},
	} {
		before := testServers(t, tt.store, tt.broker)
		after := before.apart("new")
		if got := after.database.URL.String(); got != tt.wantStore {
			t.Errorf("store: got %s, want %s", got, tt.wantStore)
		}
		if got := after.Broker.String(); got != tt.wantBroker || after.VHost() != "new" {
			t.Errorf("broker: got %s, virtual host %s, want %s", got, after.VHost(), tt.wantBroker)
		}
		if got := after.database.Name(); got != "new" {
			t.Errorf("database: got %s, want new", got)
		}
		if before.database.URL.String() != tt.store || before.Broker.String() != tt.broker || before.database.Name() != "db" {
			t.Errorf("changed: %v, %v, %s", before.database.URL, before.Broker, before.database.Name())
		}
	}
}
