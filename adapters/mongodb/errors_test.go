package mongodb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/auth"

	"example.com/orderflow/ports"
)

// Every error is an outage, except those about the document.
func TestClassify(t *testing.T) {
	const (
		outage    = "outage"
		refused   = "outage, refused"
		permanent = "permanent"
		duplicate = "duplicate"
	)
	taken := mongo.WriteErrors{{Code: 11000}}
	late := &mongo.WriteConcernError{Code: 64}
	write := func(code int, message string) error {
		return mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: code, Message: message}}}
	}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"id taken", mongo.WriteException{WriteErrors: taken}, duplicate},
		{"id taken, by MongoDB", write(11000, `E11000 duplicate key error collection: a.orders index: _id_ dup key: { _id: "x" }`), duplicate},
		{"id taken, by FerretDB", write(11000, "Duplicate key violation on the requested collection: Index '_id_'"), duplicate},
		{"conflict with a foreign unique index, by MongoDB", write(11000, `E11000 duplicate key error collection: a.orders index: user_id_1 dup key: { user_id: "index: _id_ dup" }`), outage},
		{"conflict with a foreign unique index, by FerretDB", write(11000, "Duplicate key violation on the requested collection: Index '_id_x'"), outage},
		{"id taken by a document that may be rolled back", mongo.WriteException{WriteErrors: taken, WriteConcernError: late}, outage},
		{"written, but may be rolled back", mongo.WriteException{WriteConcernError: late}, outage},

		{"fails the validator", write(121, "Document failed validation"), permanent},
		{"fails the validator, and may be rolled back", mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: 121}}, WriteConcernError: late}, outage},
		{"fails FerretDB's validator", write(525074461, "Document failed validation"), permanent},
		{"too large", mongo.CommandError{Code: 10334}, permanent},
		{"too large to insert", write(2, "object to insert too large. size in bytes: 16777300, max size: 16777216"), permanent},
		{"too large for FerretDB", mongo.CommandError{Code: 2, Message: "Size 17825816 is larger than MaxDocumentSize 16777216"}, permanent},
		{"too large after the update", write(17419, ""), permanent},
		{"too large for an upsert", write(17420, ""), permanent},
		{"too large after FerretDB's update", write(285999133, ""), permanent},
		{"too large for FerretDB's upsert", write(302776349, ""), permanent},
		{"key too long", write(17280, ""), permanent},
		{"key too long for FerretDB", write(261, "index row requires 12048 bytes, maximum size is 8191"), permanent},
		{"can't be encoded", mongo.MarshalError{Err: errors.New("no")}, permanent},
		{"too large to send", fmt.Errorf("insert: %w", driver.ErrDocumentTooLarge), permanent},

		{"not primary", mongo.CommandError{Code: 10107}, outage},
		{"primary stepped down during the write", write(189, ""), outage},
		{"took too long", mongo.CommandError{Code: 50}, outage},
		{"overloaded", mongo.CommandError{Code: 462, Labels: []string{"SystemOverloadedError"}}, outage},
		{"connection broke", mongo.CommandError{Labels: []string{"NetworkError"}, Wrapped: io.EOF}, outage},
		{"another connection broke", mongo.CommandError{Message: "connection pool was cleared", Labels: []string{"TransientTransactionError"}}, outage},
		{"closed", mongo.ErrClientDisconnected, outage},
		{"too many sessions", write(261, "Unable to add session into the cache"), outage},
		{"another bad value", write(2, "unknown operator"), outage},
		{"Atlas is over its quota", mongo.CommandError{Code: 8000, Message: "you are over your space quota"}, outage},
		{"too many requests", mongo.CommandError{Code: 16500}, outage},
		{"no such command", mongo.CommandError{Code: 59}, outage},
		{"unknown code", write(987654, "?"), outage},
		{"no code", write(0, "?"), outage},

		{"login refused", mongo.CommandError{Code: 18}, refused},
		{"not allowed", mongo.CommandError{Code: 13}, refused},
		{"not allowed to write", write(13, ""), refused},
		{"login fails at the driver", fmt.Errorf("connect: %w", &auth.Error{}), refused},
		{"login fails for Atlas", atLogin(8000), refused},
		{"login mechanism not offered", atLogin(334), refused},
		{"login's user unknown", atLogin(11), refused},
		{"server error during the login", atLogin(1), outage},
		{"connection lost during the login", atLogin(0, "NetworkError"), outage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := classify(t.Context(), tt.err)
			got := ""
			switch {
			case isDuplicate(err):
				got = duplicate
			case errors.Is(err, ports.ErrRefused) && errors.Is(err, ports.ErrUnavailable):
				got = refused
			case errors.Is(err, ports.ErrUnavailable):
				got = outage
			case ports.IsPermanent(err):
				got = permanent
			}
			if got != tt.want {
				t.Errorf("got %v: %q, want %q", err, got, tt.want)
			}
			if !errors.Is(err, ports.ErrUnavailable) && errors.Is(err, ports.ErrRefused) || errors.Is(err, ports.ErrUnavailable) && ports.IsPermanent(err) {
				t.Errorf("%v is marked as two kinds of errors", err)
			}
		})
	}
}

// atLogin returns the error of a server's answer during the handshake.
func atLogin(code int32, labels ...string) error {
	return mongo.CommandError{Code: code, Labels: labels, Wrapped: &auth.Error{}}
}

func TestClassifyWrapsTheContextsError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range []error{io.EOF, context.Canceled, mongo.CommandError{Code: 13}} {
		got := classify(ctx, err)
		if !errors.Is(got, ports.ErrUnavailable) || !errors.Is(got, context.Canceled) {
			t.Errorf("got %v, want ErrUnavailable and Canceled", got)
		}
	}
}
