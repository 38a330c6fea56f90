package main

import (
	"context"
	"errors"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The codes with which the driver is refused; 0 means success. With another login,
// every command fails on new connections and succeeds on old ones.
func TestRefusals(t *testing.T) {
	tests := map[string]map[string]int{
		loginChanged:  {"insert": 18, "find": 18, "ping": 18},
		rightsRevoked: {"insert": 13, "findAndModify": 13, "find": 13, "delete": 13, "ping": 0},
		quotaFull:     {"insert": 8000, "findAndModify": 8000, "find": 0, "delete": 0, "ping": 0},
	}
	for _, r := range refusals {
		t.Run(r.title, func(t *testing.T) {
			codes := tests[r.title]
			if codes == nil {
				t.Fatal("not tested")
			}
			address, stop := fakeServer(t, readMongo, agreement)
			defer stop()
			p, err := newProxy(address, newMongoTap)
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			p.answerBy(acceptLogin)
			client, err := mongo.Connect(options.Client().ApplyURI(
				"mongodb://" + login.String() + "@" + p.addr() + "/?directConnection=true&authMechanism=" + loginMechanism))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Disconnect(t.Context())
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			// It asks again after an error without a code: the driver has lost that
			// connection, or gave it up because another was refused.
			ask := func(command string) (code int, err error) {
				for {
					err = client.Database("test").RunCommand(ctx, bson.D{{Key: command, Value: "orders"}}).Err()
					var answer mongo.ServerError
					if errors.As(err, &answer) {
						code = answer.ErrorCodes()[0]
					}
					if err == nil || code != 0 || ctx.Err() != nil {
						return code, err
					}
				}
			}
			mustAgree := func(when string) {
				t.Helper()
				for command := range codes {
					if _, err := ask(command); err != nil {
						t.Errorf("%s: %s: %v", when, command, err)
					}
				}
			}
			mustAgree("before")
			p.answerBy(r.standIn)
			if r.title == loginChanged {
				mustAgree("on an old connection")
				p.cut()
			}
			for command, want := range codes {
				if code, err := ask(command); code != want || (err == nil) != (want == 0) {
					t.Errorf("%s: %v, want code %d", command, err, want)
				}
			}
			p.answerBy(acceptLogin)
			mustAgree("afterwards")
		})
	}
}

// Only the processes' own login is accepted in the store's place.
func TestOtherLogins(t *testing.T) {
	start := func(payload string) bson.D {
		return bson.D{{Key: "saslStart", Value: 1}, {Key: "mechanism", Value: loginMechanism}, {Key: "payload", Value: bson.Binary{Data: []byte(payload)}}}
	}
	for _, tt := range []struct {
		name     string
		command  bson.D
		accepted bool
	}{
		{"the processes' login", start(loginPayload), true},
		{"another login", start("\x00somebody\x00else"), false},
		{"a ping", bson.D{{Key: "ping", Value: 1}}, false},
	} {
		request := reply(make([]byte, 16), tt.command)
		if got := acceptLogin(request) != nil; got != tt.accepted {
			t.Errorf("%s: accepted in the store's place: %v", tt.name, got)
		}
	}
}
