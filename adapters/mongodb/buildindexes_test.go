package mongodb_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/mongodb"
)

// With KeepIndexes, a start neither builds nor drops an index. BuildIndexes does, and may
// be repeated.
func TestIndexesAsAStepOfTheirOwn(t *testing.T) {
	url := databaseURL(t)
	var log bytes.Buffer
	keep := mongodb.Options{KeepIndexes: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	orders := open(t, url, keep).Database().Collection("orders")
	if there := indexes(t, orders); len(there) > 1 {
		t.Errorf("the start has built %v", there)
	}
	if line := log.String(); !strings.Contains(line, "level=WARN") || !strings.Contains(line, "orders.waiting") || !strings.Contains(line, "dead_letters.forget") {
		t.Errorf("the log is %q, want a warning with the missing indexes", line)
	}
	former := mongo.IndexModel{Keys: bson.D{{Key: "outbox.free_at", Value: 1}}, Options: options.Index().SetName("outbox").SetSparse(true)}
	if _, err := orders.Indexes().CreateOne(bounded(t), former); err != nil {
		t.Fatal(err)
	}

	build := func() map[mongodb.IndexState]int {
		steps := make(map[mongodb.IndexState]int)
		if err := mongodb.BuildIndexes(bounded(t), url, mongodb.Options{}, func(p mongodb.IndexProgress) { steps[p.State]++ }); err != nil {
			t.Fatal(err)
		}
		return steps
	}
	if diff := cmp.Diff(map[mongodb.IndexState]int{mongodb.IndexDropped: 1, mongodb.IndexBuilding: 20, mongodb.IndexBuilt: 20}, build()); diff != "" {
		t.Errorf("first build (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[mongodb.IndexState]int{mongodb.IndexExists: 20}, build()); diff != "" {
		t.Errorf("second build (-want +got):\n%s", diff)
	}
	if got := len(indexes(t, orders)); got != 5 {
		t.Errorf("the collection orders has %d indexes, want 5", got)
	}
	log.Reset()
	open(t, url, keep)
	if log.Len() > 0 {
		t.Errorf("with all indexes, the start logs %q", log.String())
	}
}
