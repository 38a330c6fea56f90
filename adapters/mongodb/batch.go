package mongodb

import (
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
)

// each returns the error of each of the n items of an unordered write, as a
// write of that item alone would have had it: of no interest to the others is
// what was wrong with one, but to all that nothing may be durable.
func each(n int, err error) []error {
	var bulk mongo.BulkWriteException
	if !errors.As(err, &bulk) {
		return slices.Repeat([]error{err}, n)
	}
	if bulk.WriteConcernError != nil || len(bulk.WriteErrors) == 0 {
		return slices.Repeat([]error{mongo.WriteException{WriteConcernError: bulk.WriteConcernError, Labels: bulk.Labels}}, n)
	}
	errs := make([]error, n)
	for _, e := range bulk.WriteErrors {
		errs[e.Index] = mongo.WriteException{WriteErrors: mongo.WriteErrors{e.WriteError}, Labels: bulk.Labels}
	}
	return errs
}
