package main

import (
	"net/url"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The servers of a scene apart differ in virtual host and database alone.
func TestApart(t *testing.T) {
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://localhost/"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(t.Context())
	for _, tt := range []struct{ store, broker, wantStore, wantBroker string }{
		{"mongodb://h:1/old", "amqp://h:2", "mongodb://h:1/new", "amqp://h:2/new"},
		{"mongodb://u:p@h:1/old?x=y", "amqp://u:p@h:2/", "mongodb://u:p@h:1/new?x=y", "amqp://u:p@h:2/new"},
		{"mongodb://h:1", "amqp://h:2/old%2Fvhost", "mongodb://h:1/new", "amqp://h:2/new"},
	} {
		before := servers{store: parse(t, tt.store), broker: parse(t, tt.broker), database: client.Database("old")}
		after := before.apart("new")
		if got := after.store.String(); got != tt.wantStore {
			t.Errorf("store: got %s, want %s", got, tt.wantStore)
		}
		if got := after.broker.String(); got != tt.wantBroker || after.vhost() != "new" {
			t.Errorf("broker: got %s, virtual host %s, want %s", got, after.vhost(), tt.wantBroker)
		}
		if got := after.database.Name(); got != "new" {
			t.Errorf("database: got %s", got)
		}
		if before.store.String() != tt.store || before.broker.String() != tt.broker || before.database.Name() != "old" {
			t.Errorf("changed: %v, %v, %s", before.store, before.broker, before.database.Name())
		}
	}
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
