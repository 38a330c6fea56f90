package main

import (
	"encoding/binary"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"
)

func mongoLength(b []byte) int {
	const header = 16
	if len(b) < 4 {
		return 0
	}
	if n := int(int32(binary.LittleEndian.Uint32(b))); n >= header {
		return n
	}
	return -1
}

// mongoTap reads a connection to the store. An answer names only its request, so
// the tap remembers requests until then.
type mongoTap struct {
	mu    sync.Mutex
	asked map[int32]step
}

func newMongoTap() tap {
	t := &mongoTap{asked: make(map[int32]step)}
	return tap{request: t.request, answer: t.answer, length: mongoLength}
}

func (t *mongoTap) request(message []byte) step {
	s := readCommand(message).step()
	if _, id, _, _, _, ok := wiremessage.ReadHeader(message); ok && s != "" {
		t.mu.Lock()
		t.asked[id] = s
		t.mu.Unlock()
	}
	return s
}

func (t *mongoTap) answer(message []byte) step {
	_, _, id, _, _, _ := wiremessage.ReadHeader(message)
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.asked[id]
	delete(t.asked, id)
	return s.answered()
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

// command is a request: the fields that it sets or unsets in a collection, and the
// payload of a login. Of a field in a field, only the outer one counts.
type command struct {
	name, collection string
	sets, unsets     map[string]bool
	payload          []byte
}

// readCommand reads a request. What it can't read sets nothing.
func readCommand(message []byte) command {
	c := command{sets: make(map[string]bool), unsets: make(map[string]bool)}
	_, _, _, opcode, rest, ok := wiremessage.ReadHeader(message)
	if !ok || opcode != wiremessage.OpMsg {
		return c
	}
	_, rest, ok = wiremessage.ReadMsgFlags(rest)
	for ok && len(rest) > 0 {
		var kind wiremessage.SectionType
		var list string
		var documents []bsoncore.Document
		if kind, rest, ok = wiremessage.ReadMsgSectionType(rest); !ok {
			break
		}
		if kind == wiremessage.DocumentSequence {
			list, documents, rest, ok = wiremessage.ReadMsgSectionDocumentSequence(rest)
		} else {
			documents = make([]bsoncore.Document, 1)
			documents[0], rest, ok = wiremessage.ReadMsgSectionSingleDocument(rest)
			c.readBody(bson.Raw(documents[0]))
		}
		for _, d := range documents {
			c.walk(list, bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: d})
		}
	}
	return c
}

func (c *command) readBody(body bson.Raw) {
	if first, err := body.IndexErr(0); err == nil {
		c.name = first.Key()
		c.collection, _ = first.Value().StringValueOK()
	}
	if c.name == "saslStart" {
		_, c.payload, _ = body.Lookup("payload").BinaryOK()
	}
}

// walk notes what the value under the key writes, at any depth: operators stand in
// an update, in a list of updates, or in a pipeline.
func (c *command) walk(key string, value bson.RawValue) {
	var fields map[string]bool
	switch key {
	case "documents", "$set", "$setOnInsert":
		fields = c.sets
	case "$unset":
		fields = c.unsets
		if field, ok := value.StringValueOK(); ok {
			fields[field] = true
		}
	}
	if array, ok := value.ArrayOK(); ok {
		values, _ := array.Values()
		for _, v := range values {
			c.walk(key, v)
		}
	}
	document, _ := value.DocumentOK()
	elements, _ := document.Elements()
	for _, e := range elements {
		if fields != nil {
			fields[e.Key()] = true
		} else {
			c.walk(e.Key(), e.Value())
		}
	}
}
