package mongodb

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/auth"

	"example.com/orderflow/adapters/internal/refused"
	"example.com/orderflow/ports"
)

// documentFaults are the server errors about the written document, which a retry
// can't mend. If a code has other meanings too, the message decides.
var documentFaults = []struct {
	code    int
	message string
}{
	{121, ""},                            // DocumentValidationFailure
	{10334, ""},                          // BSONObjectTooLarge
	{17280, ""},                          // KeyTooLong, before MongoDB 4.2
	{17419, ""},                          // too large after an update
	{17420, ""},                          // too large for an upsert
	{2, "too large"},                     // an insert, by MongoDB
	{2, "larger than MaxDocumentSize"},   // an insert, by FerretDB
	{285999133, ""},                      // too large after an update, by FerretDB 2
	{302776349, ""},                      // too large for an upsert, by FerretDB 2
	{261, "index row requires"},          // KeyTooLong, by FerretDB 2
	{525074461, "Document failed valid"}, // DocumentValidationFailure, by FerretDB 2
}

// Codes with which a server refuses a login or a right.
const (
	unauthorized         = 13
	authenticationFailed = 18
)

// classify marks errors about the document itself as permanent, and returns a
// duplicate as it is. Every other error is an outage.
func classify(ctx context.Context, err error) error {
	if ctx.Err() == nil && isDocumentFault(err) {
		return ports.Permanent(err)
	}
	return outage(ctx, err)
}

// outage wraps ports.ErrUnavailable around every error but a duplicate, and the
// context's error if the context has ended. It replaces classify for claims and
// records, because a caller can't cause their refusal.
func outage(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		if errors.Is(err, cause) {
			return fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
		}
		return fmt.Errorf("%w: %w: %w", ports.ErrUnavailable, cause, err)
	}
	switch {
	case isDuplicate(err):
		return err
	case isRefused(err):
		return refused.Error(fmt.Errorf("%w: %w", ports.ErrRefused, err))
	}
	return fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
}

func isDocumentFault(err error) bool {
	var marshal mongo.MarshalError
	if errors.As(err, &marshal) || errors.Is(err, driver.ErrDocumentTooLarge) {
		return true
	}
	var answer mongo.ServerError
	if !errors.As(err, &answer) || lacksConcern(err) {
		return false
	}
	for _, fault := range documentFaults {
		if answer.HasErrorCodeWithMessage(fault.code, fault.message) {
			return true
		}
	}
	return false
}

// isRefused reports whether the server refuses the login or a right. A login can
// also fail because of the server itself or the network.
func isRefused(err error) bool {
	var answer mongo.ServerError
	if errors.As(err, &answer) && (answer.HasErrorCode(authenticationFailed) || answer.HasErrorCode(unauthorized)) {
		return true
	}
	var login *auth.Error
	if !errors.As(err, &login) || mongo.IsNetworkError(err) || mongo.IsTimeout(err) {
		return false
	}
	if answer == nil {
		return true // the driver rejects the server's answer, or does not know the mechanism
	}
	return slices.ContainsFunc(answer.ErrorCodes(), func(code int) bool {
		return slices.Contains([]int{
			11,   // UserNotFound
			334,  // MechanismUnavailable
			8000, // AtlasError, without a reason
		}, code)
	})
}

// isDuplicate reports whether a durable document has the write's _id. A conflict
// with a unique index that somebody has added does not count.
func isDuplicate(err error) bool {
	if !mongo.IsDuplicateKeyError(err) || lacksConcern(err) {
		return false
	}
	index := indexName.FindStringSubmatch(err.Error())
	return index == nil || index[1] == "_id_"
}

// indexName finds the index in the message: MongoDB writes index: NAME, FerretDB
// Index 'NAME'.
var indexName = regexp.MustCompile(`\b[iI]ndex:? '?([^ ']+)`)

// lacksConcern reports whether the write may be rolled back, because the majority
// did not confirm it in time.
func lacksConcern(err error) bool {
	var write mongo.WriteException
	return errors.As(err, &write) && write.WriteConcernError != nil
}
