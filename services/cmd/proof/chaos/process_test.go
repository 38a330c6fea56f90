package main

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"example.com/orderflow/services/cmd/proof/harness"
)

// A process logs in at its store, as chaos's own user if the URL has none.
func TestProcessLogsIn(t *testing.T) {
	for store, want := range map[string]string{
		"mongodb://h:1/db":            "mongodb://chaos:chaos@STORE/db?authMechanism=PLAIN&directConnection=true",
		"mongodb://u:p@h:1/db?x=y":    "mongodb://u:p@STORE/db?directConnection=true&x=y",
		"mongodb://h:1/db?appName=me": "mongodb://chaos:chaos@STORE/db?appName=me&authMechanism=PLAIN&directConnection=true",
	} {
		u, err := url.Parse(store)
		if err != nil {
			t.Fatal(err)
		}
		tr := &trial{servers: &servers{
			database: harness.Database{URL: u}, Servers: &harness.Servers{Broker: &url.URL{Scheme: "amqp", Host: "h:2"}},
		}}
		p, err := newProcess(programOrder, "order-1", tr)
		if err != nil {
			t.Fatal(err)
		}
		want := "STORE_URL=" + strings.Replace(want, "STORE", p.links[serverStore].addr(), 1)
		if !slices.Contains(p.Env, want) {
			t.Errorf("%s: got %q, want %s", store, p.Env, want)
		}
		p.close()
	}
}
