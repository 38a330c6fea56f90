package main

import (
	"bufio"
	"encoding/binary"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"

	"example.com/orderflow/services/cmd/proof/harness"
)

func readMongo(r *bufio.Reader) ([]byte, error) {
	return readMessage(r, 16, func(header []byte) int { return int(int32(binary.LittleEndian.Uint32(header))) })
}

// newMongoTap reads a connection to the store. An answer names only its request, so
// the tap remembers requests until then.
func newMongoTap() tap {
	var asked sync.Map // steps, by the request's id
	return tap{
		read: readMongo,
		request: func(message []byte) step {
			s := readCommand(message).step
			if _, id, _, _, _, ok := wiremessage.ReadHeader(message); ok && s != "" {
				asked.Store(id, s)
			}
			return s
		},
		answer: func(message []byte) step {
			_, _, id, _, _, _ := wiremessage.ReadHeader(message)
			if s, ok := asked.LoadAndDelete(id); ok {
				return s.(step).answered()
			}
			return ""
		},
	}
}

// reply makes the answer to a request.
func reply(request []byte, document bson.D) []byte {
	body, err := bson.Marshal(document)
	if err != nil {
		panic(err) // the documents of refusal.go always encode
	}
	_, id, _, _, _, _ := wiremessage.ReadHeader(request)
	_, m := wiremessage.AppendHeaderStart(nil, 0, id, wiremessage.OpMsg)
	m = wiremessage.AppendMsgFlags(m, 0)
	m = wiremessage.AppendMsgSectionType(m, wiremessage.SingleDocument)
	m = append(m, body...)
	return bsoncore.UpdateLength(m, 0, int32(len(m)))
}

// writes recognizes a step by a field that it sets or unsets in a collection. The
// adapter is free to choose the command, and to batch several.
var writes = map[string]step{
	harness.Orders + " set _id":         stepAdd,
	harness.Orders + " unset outbox":    stepMark,
	harness.Claims + " set token":       stepClaim,
	harness.Deliveries + " set sent_at": stepRecord,
}

// verbs says what a command does to the fields under a key.
var verbs = map[string]string{"documents": " set ", "$set": " set ", "$setOnInsert": " set ", "$unset": " unset "}

// command is a request. The payload is that of a login.
type command struct {
	name, collection string
	step             step
	payload          []byte
}

// readCommand reads a request. What it can't read is no step.
func readCommand(message []byte) (c command) {
	_, _, _, opcode, rest, ok := wiremessage.ReadHeader(message)
	if !ok || opcode != wiremessage.OpMsg {
		return c
	}
	_, rest, ok = wiremessage.ReadMsgFlags(rest)
	for ok && len(rest) > 0 {
		var kind wiremessage.SectionType
		var list string
		var documents []bsoncore.Document
		kind, rest, ok = wiremessage.ReadMsgSectionType(rest)
		switch {
		case ok && kind == wiremessage.DocumentSequence:
			list, documents, rest, ok = wiremessage.ReadMsgSectionDocumentSequence(rest)
		case ok:
			documents = make([]bsoncore.Document, 1)
			documents[0], rest, ok = wiremessage.ReadMsgSectionSingleDocument(rest)
		}
		for _, d := range documents {
			var fields bson.D
			if bson.Unmarshal(d, &fields) != nil || len(fields) == 0 {
				continue
			}
			if list == "" { // the command itself
				c.name = fields[0].Key
				c.collection, _ = fields[0].Value.(string)
			}
			c.walk(list, fields)
		}
	}
	return c
}

// walk notes what the value under the key writes, at any depth: operators stand in
// an update, in a list of updates, or in a pipeline. Of a field in a field, only the
// outer one counts.
func (c *command) walk(key string, value any) {
	verb, written := verbs[key]
	note := func(field string) {
		if s, ok := writes[c.collection+verb+field]; ok {
			c.step = s
		}
	}
	switch value := value.(type) {
	case bson.Binary:
		if key == "payload" {
			c.payload = value.Data
		}
	case string:
		note(value) // a pipeline unsets a field by its name
	case bson.A:
		for _, v := range value {
			c.walk(key, v)
		}
	case bson.D:
		for _, e := range value {
			if written {
				note(e.Key)
			} else {
				c.walk(e.Key, e.Value)
			}
		}
	}
}
