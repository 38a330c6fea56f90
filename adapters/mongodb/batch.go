package mongodb

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// insert writes documents of several callers, and returns each one's error. It
// ends well before their calls have to, so that a connection that is silently
// dead does not use up the time of those that wait behind it.
func insert[T any](ctx context.Context, s *Store, into *mongo.Collection, documents []T) []error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout/2)
	defer cancel()
	_, err := into.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	return each(len(documents), err)
}

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
