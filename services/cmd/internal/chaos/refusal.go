package main

import (
	"net/url"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The login that processes are given where the store's URL has none. Such a
// store knows no logins, so the proxy accepts this one in its place.
var login = url.UserPassword("chaos", "chaos")

const (
	loginMechanism = "PLAIN" // one request, one answer
	loginPayload   = "\x00chaos\x00chaos"
)

// loginCommands are a login's steps. A driver takes them on each connection but
// the one by which it watches the server, so the server looks well to it.
var loginCommands = []string{"saslStart", "saslContinue"}

// freeCommands need no right.
var freeCommands = []string{"saslStart", "saslContinue", "hello", "isMaster", "ismaster", "ping", "endSessions"}

// refusal is what a store answers to commands that it doesn't carry out.
type refusal struct {
	code    int32
	name    string // of the code
	message string
	refuses func(command string) bool
}

// refusals are what servers answer for reasons that no document at hand gives.
var refusals = map[kind]refusal{
	// As FerretDB with authentication gives it, and MongoDB.
	changeLogin: {18, "AuthenticationFailed", "Authentication failed.", func(command string) bool {
		return slices.Contains(loginCommands, command)
	}},
	// As MongoDB gives it.
	revokeRights: {13, "Unauthorized", "not authorized on chaos to execute command", func(command string) bool {
		return !slices.Contains(freeCommands, command)
	}},
	// As MongoDB's hosted service gives it when the disk space that was paid for
	// is used up: one can read, and make room.
	fillQuota: {8000, "AtlasError", "you are over your space quota, using 513 MB of 512 MB", func(command string) bool {
		return slices.Contains([]string{"insert", "update", "findAndModify", "createIndexes"}, command)
	}},
}

// standIn answers the commands that the store refuses, and accepts the login
// unless that is one of them.
func (r refusal) standIn(request []byte) []byte {
	if c := readCommand(request); c.name != "" && r.refuses(c.name) {
		return reply(request, bson.D{
			{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: r.message}, {Key: "code", Value: r.code}, {Key: "codeName", Value: r.name},
		})
	}
	return acceptLogin(request)
}

// acceptLogin accepts the login that processes are given, and no other.
func acceptLogin(request []byte) []byte {
	if c := readCommand(request); c.name != "saslStart" || string(c.payload) != loginPayload {
		return nil
	}
	return reply(request, bson.D{
		{Key: "conversationId", Value: int32(1)}, {Key: "done", Value: true}, {Key: "payload", Value: bson.Binary{}}, {Key: "ok", Value: 1.0},
	})
}
