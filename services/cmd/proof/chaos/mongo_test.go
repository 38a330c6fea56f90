package main

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/drivertest"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
)

// agreement is the answer of a store that agrees to everything.
func agreement(request []byte) []byte {
	agreed := bson.D{
		{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "test.any"}, {Key: "firstBatch", Value: bson.A{}}}},
		{Key: "value", Value: bson.D{{Key: "_id", Value: "any"}}}, // of findAndModify
		{Key: "ok", Value: 1}, {Key: "n", Value: 1}, {Key: "nModified", Value: 1}, {Key: "isWritablePrimary", Value: true},
		{Key: "ismaster", Value: true}, {Key: "helloOk", Value: true}, {Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 21},
		{Key: "maxBsonObjectSize", Value: 16 << 20}, {Key: "maxMessageSizeBytes", Value: 48 << 20}, {Key: "maxWriteBatchSize", Value: 1000},
	}
	if _, _, _, opcode, _, _ := wiremessage.ReadHeader(request); opcode == wiremessage.OpMsg {
		return reply(request, agreed)
	}
	document, err := bson.Marshal(agreed)
	if err != nil {
		panic(err)
	}
	m := drivertest.MakeReply(document) // the driver's first hello is in an older form
	copy(m[8:12], request[4:8])         // it names the request
	return m
}

// The steps are seen in the bytes that the adapter writes, and in every form that the
// driver gives a command. The answer to a step is seen once.
func TestStoreSteps(t *testing.T) {
	order, err := domain.NewOrder("00000000-0000-0000-0000-000000000001", "u", "p", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	event := order.Created()
	notification := domain.Notification{
		EventID: event.ID, OrderID: order.ID, Channel: "log", State: domain.Sent, Attempt: 1, At: time.Now().UTC().Truncate(time.Millisecond),
	}
	held := notification
	held.State, held.HeldBy, held.NextTry = domain.Held, domain.PauseKey{Channel: "log"}, held.At
	record := bson.M{"$set": bson.M{"sent_at": 1, "order_id": "1"}}
	other := bson.M{"$inc": bson.M{"n": 1}}
	anyOne := bson.M{}

	ctx := t.Context()
	type uses = func(*mongodb.Store, *mongo.Database) error
	command := func(name, collection, key string, value any) uses {
		return func(_ *mongodb.Store, db *mongo.Database) error {
			return db.RunCommand(ctx, bson.D{{Key: name, Value: collection}, {Key: key, Value: value}}).Err()
		}
	}
	update := func(collection string, updates ...any) uses {
		return func(_ *mongodb.Store, db *mongo.Database) error {
			var models []mongo.WriteModel
			for _, u := range updates {
				models = append(models, mongo.NewUpdateOneModel().SetFilter(anyOne).SetUpdate(u))
			}
			_, err := db.Collection(collection).BulkWrite(ctx, models)
			return err
		}
	}
	for _, tt := range []struct {
		name string
		use  uses
		want []step
	}{
		{"add", func(s *mongodb.Store, _ *mongo.Database) error { return s.Orders().Add(ctx, order, domain.Origin{}) }, []step{stepAdd}},
		{"mark", func(s *mongodb.Store, _ *mongo.Database) error { return s.Orders().MarkPublished(ctx, event.ID) }, []step{stepMark}},
		{"release", func(s *mongodb.Store, _ *mongo.Database) error { return s.Orders().Release(ctx, time.Now(), event.ID) }, nil},
		{"claim and record", func(s *mongodb.Store, _ *mongo.Database) error {
			claim, err := s.Deliveries().Claim(ctx, notification.Key())
			return errors.Join(err, claim.Record(ctx, notification, event))
		}, []step{stepClaim, stepRecord}},
		{"claim and hold", func(s *mongodb.Store, _ *mongo.Database) error {
			claim, err := s.Deliveries().Claim(ctx, notification.Key())
			return errors.Join(err, claim.Record(ctx, held, event))
		}, []step{stepClaim, stepRecord}},
		{"claim and release", func(s *mongodb.Store, _ *mongo.Database) error {
			claim, err := s.Deliveries().Claim(ctx, notification.Key())
			return errors.Join(err, claim.Release(ctx))
		}, []step{stepClaim}},

		{"many inserts", func(_ *mongodb.Store, db *mongo.Database) error {
			_, err := db.Collection("orders").InsertMany(ctx, []bson.M{{"_id": 1}, {"_id": 2}})
			return err
		}, []step{stepAdd}},
		{"an insert in the body", command("insert", "orders", "documents", bson.A{bson.M{"_id": 1}}), []step{stepAdd}},
		{"an insert elsewhere", command("insert", "others", "documents", bson.A{bson.M{"_id": 1}}), nil},
		{"an update", update("deliveries", record), []step{stepRecord}},
		{"the second of two updates", update("deliveries", other, record), []step{stepRecord}},
		{"by a pipeline", update("orders", mongo.Pipeline{{{Key: "$unset", Value: "outbox"}}}), []step{stepMark}},
		{"findAndModify", command("findAndModify", "delivery_claims", "update", bson.M{"$set": bson.M{"token": "x"}}), []step{stepClaim}},
		{"only in the filter", command("update", "deliveries", "updates", bson.A{bson.M{"q": bson.M{"sent_at": 1}, "u": other}}), nil},
		{"a query", command("find", "orders", "filter", bson.M{"_id": 1}), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, stop := fakeServer(t, readMongo, agreement)
			url := "mongodb://" + address + "/test?directConnection=true"
			store, err := mongodb.Open(ctx, url, mongodb.Options{})
			if err != nil {
				t.Fatal(err)
			}
			client, err := mongo.Connect(options.Client().ApplyURI(url))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(tt.use(store, client.Database("test")), store.Close(ctx), client.Disconnect(ctx)); err != nil {
				t.Error(err)
			}
			var seen []step
			for _, stream := range stop() {
				tap := newMongoTap()
				seen = append(seen, steps(t, readMongo, func(request []byte) step {
					s, answer := tap.request(request), agreement(request)
					if got := tap.answer(answer); got != s.answered() {
						t.Errorf("the answer to %q is %q", s, got)
					}
					if got := tap.answer(answer); got != "" {
						t.Errorf("another answer to the same request is %q", got)
					}
					return s
				}, stream)...)
			}
			if diff := cmp.Diff(tt.want, seen); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBrokenCommand(t *testing.T) {
	insert := reply(make([]byte, 16), bson.D{{Key: "insert", Value: "orders"}})
	broken := append(insert, byte(wiremessage.DocumentSequence), 0xFF, 0xFF, 0xFF, 0x7F, 0)
	if got := newMongoTap().request(broken); got != "" {
		t.Errorf("a broken section is %q", got)
	}
}
