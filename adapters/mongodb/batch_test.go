package mongodb

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"pgregory.net/rapid"

	"example.com/orderflow/ports"
)

// outcomes returns the meaning of each item's error.
func outcomes(errs []error) []string {
	list := make([]string, len(errs))
	for i, err := range errs {
		switch {
		case err == nil:
			list[i] = "written"
		case isDuplicate(err):
			list[i] = "exists"
		case errors.Is(classify(context.Background(), err), ports.ErrUnavailable):
			list[i] = "unavailable"
		case ports.IsPermanent(classify(context.Background(), err)):
			list[i] = "refused"
		}
	}
	return list
}

func at(index, code int) mongo.BulkWriteError {
	return mongo.BulkWriteError{WriteError: mongo.WriteError{Index: index, Code: code}}
}

func TestSplitError(t *testing.T) {
	late := &mongo.WriteConcernError{Code: 64}
	tests := []struct {
		name string
		err  error
		want [3]string
	}{
		{"all written", nil, [3]string{"written", "written", "written"}},
		{"first taken", mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{at(0, 11000)}}, [3]string{"exists", "written", "written"}},
		{"last taken", mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{at(2, 11000)}}, [3]string{"written", "written", "exists"}},
		{
			"three different errors", mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{at(2, 121), at(0, 11000), at(1, 189)}},
			[3]string{"exists", "unavailable", "refused"},
		},
		{"all may be rolled back", mongo.BulkWriteException{WriteConcernError: late}, [3]string{"unavailable", "unavailable", "unavailable"}},
		{
			"one taken, by a document that may be rolled back", mongo.BulkWriteException{WriteConcernError: late, WriteErrors: []mongo.BulkWriteError{at(1, 11000)}},
			[3]string{"unavailable", "unavailable", "unavailable"},
		},
		{"names no item", mongo.BulkWriteException{}, [3]string{"unavailable", "unavailable", "unavailable"}},
		{"not primary", mongo.CommandError{Code: 10107}, [3]string{"unavailable", "unavailable", "unavailable"}},
		{"connection broke", mongo.CommandError{Labels: []string{"NetworkError"}, Wrapped: io.EOF}, [3]string{"unavailable", "unavailable", "unavailable"}},
		{"not allowed", mongo.CommandError{Code: 13}, [3]string{"unavailable", "unavailable", "unavailable"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want[:], outcomes(splitError(3, tt.err))); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSplitErrorAssignsErrorsToItems(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		codes := rapid.SliceOfN(rapid.SampledFrom([]int{0, 0, 11000, 121, 189}), 1, 50).Draw(t, "codes")
		wantByCode := map[int]string{0: "written", 11000: "exists", 121: "refused", 189: "unavailable"}
		var want []string
		var answer mongo.BulkWriteException
		for i, code := range codes {
			want = append(want, wantByCode[code])
			if code != 0 {
				answer.WriteErrors = append(answer.WriteErrors, at(i, code))
			}
		}
		answer.WriteErrors = rapid.Permutation(answer.WriteErrors).Draw(t, "write errors")
		var err error
		if len(answer.WriteErrors) > 0 {
			err = answer
		}
		if diff := cmp.Diff(want, outcomes(splitError(len(codes), err))); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}
