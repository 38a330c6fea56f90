package mongodb

import (
	"context"
	"errors"
	"io"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"example.com/orderflow/ports"
)

func TestClassify(t *testing.T) {
	taken := mongo.WriteErrors{{Code: 11000}}
	late := &mongo.WriteConcernError{Code: 64}
	tests := []struct {
		name        string
		err         error
		unavailable bool
		duplicate   bool
	}{
		{"id taken", mongo.WriteException{WriteErrors: taken}, false, true},
		{"id taken, by what may be undone", mongo.WriteException{WriteErrors: taken, WriteConcernError: late}, true, false},
		{"written, but may be undone", mongo.WriteException{WriteConcernError: late}, true, false},
		{"refused", mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: 121}}}, false, false},
		{"not primary", mongo.CommandError{Code: 10107}, true, false},
		{"stepped down in the middle", mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: 189}}}, true, false},
		{"took too long", mongo.CommandError{Code: 50}, true, false},
		{"overloaded", mongo.CommandError{Code: 462, Labels: []string{"SystemOverloadedError"}}, true, false},
		{"connection broke", mongo.CommandError{Labels: []string{"NetworkError"}, Wrapped: io.EOF}, true, false},
		{"another connection broke", mongo.CommandError{Message: "connection pool was cleared", Labels: []string{"TransientTransactionError"}}, true, false},
		{"login refused", mongo.CommandError{Code: 18}, false, false},
		{"not allowed", mongo.CommandError{Code: 13}, false, false},
		{"closed", mongo.ErrClientDisconnected, true, false},
		{"not to be encoded", mongo.MarshalError{Err: errors.New("no")}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := classify(t.Context(), tt.err)
			if errors.Is(got, ports.ErrUnavailable) != tt.unavailable {
				t.Errorf("got %v; unavailable: %v, want %v", got, !tt.unavailable, tt.unavailable)
			}
			if isDuplicate(tt.err) != tt.duplicate {
				t.Errorf("duplicate: %v, want %v", !tt.duplicate, tt.duplicate)
			}
		})
	}
}

func TestClassifyKeepsTheContextsError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range []error{io.EOF, context.Canceled, mongo.CommandError{Code: 13}} {
		got := classify(ctx, err)
		if !errors.Is(got, ports.ErrUnavailable) || !errors.Is(got, context.Canceled) {
			t.Errorf("got %v, want ErrUnavailable and Canceled", got)
		}
	}
}
