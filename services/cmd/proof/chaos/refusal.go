package main

import (
	"context"
	"net/url"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// login is the user of the processes if the store's URL has none. Such a store
// knows no users, so the proxy accepts the login in its place.
var login = url.UserPassword("chaos", "chaos")

const (
	loginMechanism = "PLAIN" // one request, one answer
	loginPayload   = "\x00chaos\x00chaos"

	loginChanged  = serverStore + " login changed"
	rightsRevoked = serverStore + " rights revoked"
	quotaFull     = serverStore + " quota full"
)

// loginCommands are the steps of a login. The driver takes them on each connection
// except the one that monitors the server, so the server still looks healthy.
var loginCommands = []string{"saslStart", "saslContinue"}

// freeCommands need no rights.
var freeCommands = append([]string{"hello", "isMaster", "ismaster", "ping", "endSessions"}, loginCommands...)

// refusal is a fault of a store that refuses commands. Its text is the server's.
type refusal struct {
	title   string
	code    int32
	name    string // of the code
	message string
	refuses func(command string) bool
}

// The first is in the words of MongoDB, and of FerretDB with authentication; the second
// in those of MongoDB; the third in those of MongoDB's hosted service when the paid
// disk space is used up: clients can read, and delete.
var refusals = []refusal{
	{loginChanged, 18, "AuthenticationFailed", "Authentication failed.", func(command string) bool {
		return slices.Contains(loginCommands, command)
	}},
	{rightsRevoked, 13, "Unauthorized", "not authorized on chaos to execute command", func(command string) bool {
		return !slices.Contains(freeCommands, command)
	}},
	{quotaFull, 8000, "AtlasError", "you are over your space quota, using 513 MB of 512 MB", func(command string) bool {
		return slices.Contains([]string{"insert", "update", "findAndModify", "createIndexes"}, command)
	}},
}

// begin makes the store refuse every process what the fault takes from it. The store
// asks for a changed login on new connections only, so the old ones are cut.
func (r refusal) begin(t *trial, _ context.Context) error {
	for _, p := range t.processes {
		p.links[serverStore].answerBy(r.standIn)
		if r.title == loginChanged {
			p.links[serverStore].cut()
		}
	}
	return nil
}

// endRefusal lets the store answer again.
func (t *trial) endRefusal(context.Context) error {
	for _, p := range t.processes {
		p.links[serverStore].answerBy(acceptLogin)
	}
	return nil
}

// standIn answers refused commands. It accepts the login unless that is refused.
func (r refusal) standIn(request []byte) []byte {
	if c := readCommand(request); c.name != "" && r.refuses(c.name) {
		return reply(request, bson.D{
			{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: r.message}, {Key: "code", Value: r.code}, {Key: "codeName", Value: r.name},
		})
	}
	return acceptLogin(request)
}

// acceptLogin accepts the processes' login, and no other.
func acceptLogin(request []byte) []byte {
	if c := readCommand(request); c.name != "saslStart" || string(c.payload) != loginPayload {
		return nil
	}
	return reply(request, bson.D{
		{Key: "conversationId", Value: int32(1)}, {Key: "done", Value: true}, {Key: "payload", Value: bson.Binary{}}, {Key: "ok", Value: 1.0},
	})
}
