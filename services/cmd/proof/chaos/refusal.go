package main

import (
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
)

// loginCommands are the steps of a login. The driver takes them on each connection
// except the one that monitors the server, so the server still looks healthy.
var loginCommands = []string{"saslStart", "saslContinue"}

// freeCommands need no rights.
var freeCommands = append([]string{"hello", "isMaster", "ismaster", "ping", "endSessions"}, loginCommands...)

// refusal is a store's answer to commands that it refuses.
type refusal struct {
	code    int32
	name    string // of the code
	message string
	refuses func(command string) bool
}

// refusals are outages that a server reports in an answer to each command.
var refusals = map[kind]refusal{
	// In the words of MongoDB, and of FerretDB with authentication.
	changeLogin: {18, "AuthenticationFailed", "Authentication failed.", func(command string) bool {
		return slices.Contains(loginCommands, command)
	}},
	// In the words of MongoDB.
	revokeRights: {13, "Unauthorized", "not authorized on chaos to execute command", func(command string) bool {
		return !slices.Contains(freeCommands, command)
	}},
	// In the words of MongoDB's hosted service when the paid disk space is used up:
	// clients can read, and delete.
	fillQuota: {8000, "AtlasError", "you are over your space quota, using 513 MB of 512 MB", func(command string) bool {
		return slices.Contains([]string{"insert", "update", "findAndModify", "createIndexes"}, command)
	}},
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
