package mongodb

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

func TestParseURL(t *testing.T) {
	type setting struct {
		Database, App string
		Timeout       time.Duration
		Selection     time.Duration
	}
	tests := []struct {
		url  string
		want setting
	}{
		{"mongodb://localhost/orders", setting{"orders", "orderflow", 10 * time.Second, 5 * time.Second}},
		{"mongodb://u:p@a:1,b:2/orders?replicaSet=rs0&authSource=admin", setting{"orders", "orderflow", 10 * time.Second, 5 * time.Second}},
		{"mongodb://u?x:p@localhost/my%2Dorders", setting{"my-orders", "orderflow", 10 * time.Second, 5 * time.Second}},
		{"mongodb://localhost/orders?timeoutMS=300&serverSelectionTimeoutMS=200&appName=x", setting{"orders", "x", 300 * time.Millisecond, 200 * time.Millisecond}},
		{"mongodb://localhost/orders?retryWrites=true&appName=my%20app&tls=true&tlsInsecure=true&compressors=zlib", setting{"orders", "my app", 10 * time.Second, 5 * time.Second}},
		{"mongodb://u:p@localhost/orders?authMechanism=SCRAM-SHA-256&authSource=admin;loadBalanced=false&TLS=false", setting{"orders", "orderflow", 10 * time.Second, 5 * time.Second}},
		{"mongodb://localhost/orders?timeoutMS=0", setting{"orders", "orderflow", 10 * time.Second, 5 * time.Second}},
		{"mongodb://localhost/orders?retryWrites=true&w=majority&journal=true&readConcernLevel=local&readPreference=primary", setting{"orders", "orderflow", 10 * time.Second, 5 * time.Second}},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			opts, database, err := parseURL(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			got := setting{database, *opts.AppName, *opts.Timeout, *opts.ServerSelectionTimeout}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if wc := opts.WriteConcern; wc.W != "majority" || wc.Journal == nil || !*wc.Journal {
				t.Errorf("write concern %+v, want the majority's journal", wc)
			}
			if opts.ReadConcern.Level != "local" || opts.ReadPreference.Mode() != readpref.PrimaryMode {
				t.Errorf("reads %q from %v, want local from the primary", opts.ReadConcern.Level, opts.ReadPreference)
			}
		})
	}
}
