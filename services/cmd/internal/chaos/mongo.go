package main

import (
	"bytes"
	"encoding/binary"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// MongoDB's wire protocol: a message is length, id, the id it answers and
// opcode, 4 bytes each. An OP_MSG goes on with flags (4) and sections: one
// document (kind 0), or size, name and several documents (kind 1).
const (
	mongoHeader      = 16
	opMsg            = 2013
	checksumPresent  = 1
	sectionBody      = 0
	sectionDocuments = 1
)

func mongoLength(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	n := int(int32(binary.LittleEndian.Uint32(b)))
	if n < mongoHeader {
		return -1
	}
	return n
}

// mongoTap reads a connection to the store. An answer says only which request
// it is for, so the requests are remembered until then.
type mongoTap struct {
	mu    sync.Mutex
	asked map[uint32]step
}

func newMongoTap() tap {
	t := &mongoTap{asked: make(map[uint32]step)}
	return tap{request: t.request, answer: t.answer, length: mongoLength}
}

func (t *mongoTap) request(message []byte) step {
	s := readCommand(message).step()
	if s != "" {
		t.mu.Lock()
		t.asked[binary.LittleEndian.Uint32(message[4:])] = s
		t.mu.Unlock()
	}
	return s
}

func (t *mongoTap) answer(message []byte) step {
	if len(message) < mongoHeader {
		return ""
	}
	id := binary.LittleEndian.Uint32(message[8:])
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
		panic(err) // our own documents always encode
	}
	return envelope(opMsg, request, append([]byte{0, 0, 0, 0, sectionBody}, body...))
}

// envelope puts the header of the answer to a request before the content.
func envelope(opcode uint32, request, content []byte) []byte {
	m := binary.LittleEndian.AppendUint32(nil, uint32(mongoHeader+len(content)))
	m = binary.LittleEndian.AppendUint32(m, 0)
	m = append(m, request[4:8]...)
	m = binary.LittleEndian.AppendUint32(m, opcode)
	return append(m, content...)
}

// command is what matters of a request: which fields it writes to which
// collection, or with what it logs in. Of a field in a field, only the outer one
// counts.
type command struct {
	name, collection string
	sets, unsets     map[string]bool
	payload          []byte
}

// readCommand reads a request; the zero command is one that it can't read.
func readCommand(message []byte) command {
	if len(message) < mongoHeader+5 || binary.LittleEndian.Uint32(message[12:]) != opMsg {
		return command{}
	}
	flags, rest := binary.LittleEndian.Uint32(message[mongoHeader:]), message[mongoHeader+4:]
	if flags&checksumPresent != 0 && len(rest) >= 4 {
		rest = rest[:len(rest)-4]
	}
	c := command{sets: make(map[string]bool), unsets: make(map[string]bool)}
	for len(rest) > 5 {
		kind, size := rest[0], int(int32(binary.LittleEndian.Uint32(rest[1:])))
		if size < 5 || size > len(rest)-1 {
			return command{}
		}
		section := rest[1 : 1+size]
		rest = rest[1+size:]
		switch kind {
		case sectionBody:
			c.readBody(bson.Raw(section))
		case sectionDocuments:
			c.readSequence(section[4:])
		}
	}
	return c
}

func (c *command) readBody(body bson.Raw) {
	elements, err := body.Elements()
	if err != nil || len(elements) == 0 {
		return
	}
	c.name = elements[0].Key()
	c.collection, _ = elements[0].Value().StringValueOK()
	for _, e := range elements[1:] {
		if array, ok := e.Value().ArrayOK(); ok {
			documents, _ := array.Values() // what can't be read is passed over
			for _, d := range documents {
				c.readItem(e.Key(), d)
			}
		}
	}
	switch c.name {
	case "findAndModify":
		c.readUpdate(body.Lookup("update"))
	case "saslStart":
		_, c.payload, _ = body.Lookup("payload").BinaryOK()
	}
}

func (c *command) readSequence(section []byte) {
	end := bytes.IndexByte(section, 0)
	if end < 0 {
		return
	}
	name, rest := string(section[:end]), section[end+1:]
	for len(rest) >= 5 {
		size := int(int32(binary.LittleEndian.Uint32(rest)))
		if size < 5 || size > len(rest) {
			return
		}
		c.readItem(name, bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: rest[:size]})
		rest = rest[size:]
	}
}

// readItem reads a member of a list that belongs to the command.
func (c *command) readItem(list string, item bson.RawValue) {
	document, ok := item.DocumentOK()
	if !ok {
		return
	}
	switch list {
	case "documents":
		addKeys(c.sets, document)
	case "updates":
		c.readUpdate(document.Lookup("u"))
	}
}

// readUpdate reads an update: a document of operators, or stages of a pipeline.
func (c *command) readUpdate(update bson.RawValue) {
	stages := []bson.RawValue{update}
	if array, ok := update.ArrayOK(); ok {
		stages, _ = array.Values()
	}
	for _, stage := range stages {
		operators, ok := stage.DocumentOK()
		if !ok {
			continue
		}
		elements, _ := operators.Elements()
		for _, e := range elements {
			switch e.Key() {
			case "$set", "$setOnInsert":
				if fields, ok := e.Value().DocumentOK(); ok {
					addKeys(c.sets, fields)
				}
			case "$unset":
				if fields, ok := e.Value().DocumentOK(); ok {
					addKeys(c.unsets, fields)
				} else if field, ok := e.Value().StringValueOK(); ok {
					c.unsets[field] = true
				}
			}
		}
	}
}

func addKeys(to map[string]bool, document bson.Raw) {
	elements, _ := document.Elements()
	for _, e := range elements {
		to[e.Key()] = true
	}
}
