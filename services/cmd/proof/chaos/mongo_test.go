package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
)

// storeBytes returns what the adapter writes on each connection while use uses it.
func storeBytes(t *testing.T, use func(*mongodb.Store)) [][]byte {
	t.Helper()
	address, stop := fakeServer(t, readMongo, agreement)
	store, err := mongodb.Open(t.Context(), "mongodb://"+address+"/test?directConnection=true", mongodb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	use(store)
	if err := store.Close(t.Context()); err != nil {
		t.Error(err)
	}
	return stop()
}

// agreement is the answer of a store that agrees to everything.
func agreement(request []byte) []byte {
	agreed := bson.D{
		{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "test.any"}, {Key: "firstBatch", Value: bson.A{}}}},
		{Key: "ok", Value: 1}, {Key: "n", Value: 1}, {Key: "nModified", Value: 1}, {Key: "isWritablePrimary", Value: true},
		{Key: "ismaster", Value: true}, {Key: "helloOk", Value: true}, {Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 21},
		{Key: "maxBsonObjectSize", Value: 16 << 20}, {Key: "maxMessageSizeBytes", Value: 48 << 20}, {Key: "maxWriteBatchSize", Value: 1000},
	}
	_, id, _, opcode, _, _ := wiremessage.ReadHeader(request)
	if opcode == wiremessage.OpMsg {
		return reply(request, agreed)
	}
	// The driver's first hello is in an older form.
	_, m := wiremessage.AppendHeaderStart(nil, 0, id, wiremessage.OpReply)
	m = wiremessage.AppendReplyFlags(m, wiremessage.AwaitCapable)
	m = wiremessage.AppendReplyCursorID(m, 0)
	m = wiremessage.AppendReplyStartingFrom(m, 0)
	m = wiremessage.AppendReplyNumberReturned(m, 1)
	m = append(m, document(agreed)...)
	return bsoncore.UpdateLength(m, 0, int32(len(m)))
}

func document(v any) []byte {
	data, err := bson.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// The steps are seen in the bytes that the adapter really writes.
func TestStoreSteps(t *testing.T) {
	order, err := domain.NewOrder("00000000-0000-0000-0000-000000000001", "u", "p", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	event := order.Created()
	tests := []struct {
		name string
		use  func(*mongodb.Store) error
		want []step
	}{
		{"add", func(s *mongodb.Store) error { return s.Orders().Add(t.Context(), order) }, []step{stepAdd}},
		{"mark", func(s *mongodb.Store) error { return s.Orders().MarkPublished(t.Context(), event.ID) }, []step{stepMark}},
		{"postpone", func(s *mongodb.Store) error { return s.Orders().Release(t.Context(), time.Now(), event.ID) }, nil},
		{"claim and record", func(s *mongodb.Store) error {
			claim, err := s.Deliveries().Claim(t.Context(), event.ID, "log")
			if err != nil {
				return err
			}
			return claim.Record(t.Context(), domain.Notification{
				EventID: event.ID, OrderID: order.ID, Channel: "log", Attempt: 1, SentAt: time.Now().UTC().Truncate(time.Millisecond),
			})
		}, []step{stepClaim, stepRecord}},
		{"claim and release", func(s *mongodb.Store) error {
			claim, err := s.Deliveries().Claim(t.Context(), event.ID, "log")
			if err != nil {
				return err
			}
			return claim.Release(t.Context())
		}, []step{stepClaim}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			streams := storeBytes(t, func(s *mongodb.Store) {
				if err := tt.use(s); err != nil {
					t.Error(err)
				}
			})
			var seen []step
			for _, stream := range streams {
				seen = append(seen, steps(t, readMongo, newMongoTap().request, stream)...)
			}
			if diff := cmp.Diff(tt.want, seen); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// opMsgRequest makes a request of a command and, in a section of its own, a list of
// documents.
func opMsgRequest(id int32, command bson.D, list string, documents ...any) []byte {
	_, m := wiremessage.AppendHeaderStart(nil, id, 0, wiremessage.OpMsg)
	m = wiremessage.AppendMsgFlags(m, 0)
	m = wiremessage.AppendMsgSectionType(m, wiremessage.SingleDocument)
	m = append(m, document(command)...)
	if list != "" {
		m = wiremessage.AppendMsgSectionType(m, wiremessage.DocumentSequence)
		start, n := bsoncore.ReserveLength(m)
		m = append(append(n, list...), 0)
		for _, d := range documents {
			m = append(m, document(d)...)
		}
		m = bsoncore.UpdateLength(m, start, int32(len(m))-start)
	}
	return bsoncore.UpdateLength(m, 0, int32(len(m)))
}

// The same write is the same step in every form of command.
func TestCommands(t *testing.T) {
	name := func(command, collection string) bson.D {
		return bson.D{{Key: command, Value: collection}, {Key: "$db", Value: "test"}}
	}
	with := func(d bson.D, key string, value any) bson.D { return append(d, bson.E{Key: key, Value: value}) }
	record := bson.M{"$set": bson.M{"sent_at": 1, "order_id": "1"}}
	tests := []struct {
		name    string
		message []byte
		want    step
	}{
		{"many inserts", opMsgRequest(1, name("insert", "orders"), "documents", bson.M{"_id": 1}, bson.M{"_id": 2}), stepAdd},
		{"an insert in the body", opMsgRequest(1, with(name("insert", "orders"), "documents", bson.A{bson.M{"_id": 1}}), ""), stepAdd},
		{"an insert elsewhere", opMsgRequest(1, name("insert", "others"), "documents", bson.M{"_id": 1}), ""},
		{"an update", opMsgRequest(1, name("update", "deliveries"), "updates", bson.M{"q": bson.M{}, "u": record}), stepRecord},
		{"the second of two updates", opMsgRequest(1, name("update", "deliveries"), "updates", bson.M{"q": bson.M{}, "u": bson.M{"$inc": bson.M{"n": 1}}}, bson.M{"q": bson.M{}, "u": record}), stepRecord},
		{"by a pipeline", opMsgRequest(1, name("update", "orders"), "updates", bson.M{"q": bson.M{}, "u": bson.A{bson.M{"$unset": "outbox"}}}), stepMark},
		{"findAndModify", opMsgRequest(1, with(name("findAndModify", "delivery_claims"), "update", bson.M{"$set": bson.M{"token": "x"}}), ""), stepClaim},
		{"only in the filter", opMsgRequest(1, name("update", "deliveries"), "updates", bson.M{"q": bson.M{"sent_at": 1}, "u": bson.M{"$set": bson.M{"attempt": 1}}}), ""},
		{"a query", opMsgRequest(1, with(name("find", "orders"), "filter", bson.M{"_id": 1}), ""), ""},
		{"a broken section", append(opMsgRequest(1, name("insert", "orders"), ""), byte(wiremessage.DocumentSequence), 0xFF, 0xFF, 0xFF, 0x7F, 0), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tap := newMongoTap()
			if got := tap.request(tt.message); got != tt.want {
				t.Errorf("request: got %q, want %q", got, tt.want)
			}
			answer := reply(tt.message, bson.D{})
			if got := tap.answer(answer); got != tt.want.answered() {
				t.Errorf("answer: got %q, want %q", got, tt.want.answered())
			}
			if got := tap.answer(answer); got != "" {
				t.Errorf("another answer to the same request is %q", got)
			}
		})
	}
}
