package main

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
)

// agreeingStore starts a server that agrees to everything. It stops once its
// clients have, and returns what was written on each connection.
func agreeingStore(t *testing.T) (address string, stop func() [][]byte) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var streams [][]byte
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				stream := agree(t, conn)
				mu.Lock()
				defer mu.Unlock()
				streams = append(streams, stream)
			})
		}
	})
	return listener.Addr().String(), func() [][]byte {
		listener.Close()
		wg.Wait()
		return streams
	}
}

// storeBytes returns what the adapter writes on each connection while use uses
// it.
func storeBytes(t *testing.T, use func(*mongodb.Store)) [][]byte {
	t.Helper()
	address, stop := agreeingStore(t)
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

// agree answers every command with success, and returns what it was sent.
func agree(t *testing.T, conn net.Conn) (stream []byte) {
	defer conn.Close()
	for {
		message := make([]byte, mongoHeader)
		if _, err := io.ReadFull(conn, message); err != nil {
			return stream
		}
		message = append(message, make([]byte, mongoLength(message)-mongoHeader)...)
		if _, err := io.ReadFull(conn, message[mongoHeader:]); err != nil {
			return stream
		}
		stream = append(stream, message...)
		if _, err := conn.Write(agreement(t, message)); err != nil {
			return stream
		}
	}
}

func agreement(t *testing.T, request []byte) []byte {
	t.Helper()
	body, err := bson.Marshal(bson.M{
		"ok": 1, "n": 1, "nModified": 1, "isWritablePrimary": true, "ismaster": true, "helloOk": true,
		"minWireVersion": 0, "maxWireVersion": 21, "maxBsonObjectSize": 16 << 20, "maxMessageSizeBytes": 48 << 20, "maxWriteBatchSize": 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	const opReply, opQuery = 1, 2004
	if binary.LittleEndian.Uint32(request[12:]) == opQuery { // flags, cursor, from, count; document
		return envelope(opReply, request, append([]byte{8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, body...))
	}
	return envelope(opMsg, request, append([]byte{0, 0, 0, 0, sectionBody}, body...))
}

// The steps are seen in what the adapter really writes.
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
			for _, piece := range []int{1, 2, 3, 7, 16, 100, 1 << 20} {
				var seen []step
				for _, stream := range streams {
					seen = append(seen, steps(t, mongoLength, newMongoTap().request, stream, piece)...)
				}
				if diff := cmp.Diff(tt.want, seen); diff != "" {
					t.Fatalf("in pieces of %d bytes (-want +got):\n%s", piece, diff)
				}
			}
		})
	}
}

// opMsgRequest makes an OP_MSG of a command and, as a section of its own, a list of
// documents.
func opMsgRequest(t *testing.T, id uint32, command bson.D, list string, documents ...any) []byte {
	t.Helper()
	marshal := func(v any) []byte {
		data, err := bson.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	content := append([]byte{0, 0, 0, 0, sectionBody}, marshal(command)...)
	if list != "" {
		section := append([]byte(list), 0)
		for _, d := range documents {
			section = append(section, marshal(d)...)
		}
		content = append(content, sectionDocuments)
		content = binary.LittleEndian.AppendUint32(content, uint32(4+len(section)))
		content = append(content, section...)
	}
	m := binary.LittleEndian.AppendUint32(nil, uint32(mongoHeader+len(content)))
	m = binary.LittleEndian.AppendUint32(m, id)
	m = append(m, 0, 0, 0, 0)
	m = binary.LittleEndian.AppendUint32(m, opMsg)
	return append(m, content...)
}

// The same write counts as the same step, however it is put.
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
		{"many inserts", opMsgRequest(t, 1, name("insert", "orders"), "documents", bson.M{"_id": 1}, bson.M{"_id": 2}), stepAdd},
		{"an insert in the body", opMsgRequest(t, 1, with(name("insert", "orders"), "documents", bson.A{bson.M{"_id": 1}}), ""), stepAdd},
		{"an insert elsewhere", opMsgRequest(t, 1, name("insert", "others"), "documents", bson.M{"_id": 1}), ""},
		{"an update", opMsgRequest(t, 1, name("update", "deliveries"), "updates", bson.M{"q": bson.M{}, "u": record}), stepRecord},
		{"the second of two updates", opMsgRequest(t, 1, name("update", "deliveries"), "updates", bson.M{"q": bson.M{}, "u": bson.M{"$inc": bson.M{"n": 1}}}, bson.M{"q": bson.M{}, "u": record}), stepRecord},
		{"by a pipeline", opMsgRequest(t, 1, name("update", "orders"), "updates", bson.M{"q": bson.M{}, "u": bson.A{bson.M{"$unset": "outbox"}}}), stepMark},
		{"findAndModify", opMsgRequest(t, 1, with(name("findAndModify", "delivery_claims"), "update", bson.M{"$set": bson.M{"token": "x"}}), ""), stepClaim},
		{"only in the filter", opMsgRequest(t, 1, name("update", "deliveries"), "updates", bson.M{"q": bson.M{"sent_at": 1}, "u": bson.M{"$set": bson.M{"attempt": 1}}}), ""},
		{"a query", opMsgRequest(t, 1, with(name("find", "orders"), "filter", bson.M{"_id": 1}), ""), ""},
		{"a broken section", append(opMsgRequest(t, 1, name("insert", "orders"), ""), sectionDocuments, 0xFF, 0xFF, 0xFF, 0x7F, 0), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tap := newMongoTap()
			if got := tap.request(tt.message); got != tt.want {
				t.Errorf("request: got %q, want %q", got, tt.want)
			}
			answer := envelope(opMsg, tt.message, []byte{0, 0, 0, 0, sectionBody, 5, 0, 0, 0, 0})
			if got := tap.answer(answer); got != tt.want.answered() {
				t.Errorf("answer: got %q, want %q", got, tt.want.answered())
			}
			if got := tap.answer(answer); got != "" {
				t.Errorf("another answer to the same request is %q", got)
			}
		})
	}
}
