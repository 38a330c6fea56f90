package main

import (
	"slices"
	"strings"
	"testing"
)

// A process logs in at its store, as the harness's own user if the store knows
// none.
func TestProcessLogsIn(t *testing.T) {
	for store, want := range map[string]string{
		"mongodb://h:1/db":            "mongodb://chaos:chaos@STORE/db?authMechanism=PLAIN&directConnection=true",
		"mongodb://u:p@h:1/db?x=y":    "mongodb://u:p@STORE/db?directConnection=true&x=y",
		"mongodb://h:1/db?appName=me": "mongodb://chaos:chaos@STORE/db?appName=me&authMechanism=PLAIN&directConnection=true",
	} {
		st := &stage{servers: &servers{store: parse(t, store), broker: parse(t, "amqp://h:2/")}}
		p, err := st.newProcess(programOrder, "order-1", "")
		if err != nil {
			t.Fatal(err)
		}
		want := "--store=" + strings.Replace(want, "STORE", p.links[serverStore].address(), 1)
		if !slices.Contains(p.args, want) {
			t.Errorf("%s: got %q, want %s", store, p.args, want)
		}
		p.close()
	}
}
