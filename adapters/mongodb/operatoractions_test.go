package mongodb_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/ports"
)

// A list skips and counts actions that another program has stored or changed.
func TestUnreadableActions(t *testing.T) {
	store := openWith(t, mongodb.Options{Logger: slog.New(slog.DiscardHandler)})
	at := time.Now().UTC().Truncate(time.Second)
	readable := func(id string) bson.M {
		return bson.M{"_id": id, "at": at, "by": "ann", "action": "replay", "target": "", "reason": "", "outcome": "unknown"}
	}
	documents := []any{readable("readable")}
	for i, change := range []bson.M{
		{"at": "now"}, {"at": time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, {"by": nil}, {"action": 7}, {"outcome": "well"},
		{"outcome": "done", "ended_at": "now"}, {"outcome": "done", "ended_at": at, "count": "many"}, {"error": bson.A{}},
	} {
		document := readable(fmt.Sprint("unreadable ", i))
		for name, value := range change {
			document[name] = value
		}
		documents = append(documents, document)
	}
	if _, err := store.Database().Collection("operator_actions").InsertMany(t.Context(), documents); err != nil {
		t.Fatal(err)
	}
	page, err := store.OperatorActions().List(t.Context(), ports.OperatorActionQuery{Limit: 100})
	if err != nil || len(page.Actions) != 1 || page.Actions[0].ID != "readable" || page.Unreadable != len(documents)-1 {
		t.Errorf("%+v, error %v, want one action and %d unreadable", page, err, len(documents)-1)
	}
}
