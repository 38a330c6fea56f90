package mongodb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"example.com/orderflow/ports"
)

// Server codes by which a server says that it can't now, not that it won't.
var transientCodes = []int{
	1,     // InternalError, as FerretDB has it while its PostgreSQL is away
	6,     // HostUnreachable
	7,     // HostNotFound
	24,    // LockTimeout
	50,    // MaxTimeMSExpired
	64,    // WriteConcernTimeout
	89,    // NetworkTimeout
	91,    // ShutdownInProgress
	112,   // WriteConflict
	133,   // FailedToSatisfyReadPreference
	134,   // ReadConcernMajorityNotAvailableYet
	175,   // QueryPlanKilled
	189,   // PrimarySteppedDown
	237,   // CursorKilled
	262,   // ExceededTimeLimit
	9001,  // SocketException
	10058, // LegacyNotPrimary
	10107, // NotWritablePrimary
	11600, // InterruptedAtShutdown
	11601, // Interrupted
	11602, // InterruptedDueToReplStateChange
	13435, // NotPrimaryNoSecondaryOk
	13436, // NotPrimaryOrSecondary
}

// classify wraps ports.ErrUnavailable around an error after which it is open
// whether the server has done what it was asked to, and the context's error
// where the context has ended.
func classify(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		if errors.Is(err, cause) {
			return fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
		}
		return fmt.Errorf("%w: %w: %w", ports.ErrUnavailable, cause, err)
	}
	if unavailable(err) {
		return fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
	}
	return err
}

func unavailable(err error) bool {
	if lacksConcern(err) || mongo.IsNetworkError(err) || mongo.IsTimeout(err) {
		return true
	}
	var labeled mongo.LabeledError
	if errors.As(err, &labeled) && labeled.HasErrorLabel("SystemOverloadedError") {
		return true
	}
	var answer mongo.ServerError
	if errors.As(err, &answer) {
		codes := answer.ErrorCodes()
		if slices.ContainsFunc(codes, func(code int) bool { return slices.Contains(transientCodes, code) }) {
			return true
		}
		if slices.ContainsFunc(codes, func(code int) bool { return code != 0 }) {
			return false
		}
		// Without a code it is the driver's own, such as of a connection that
		// was closed because another one broke.
	}
	var marshal mongo.MarshalError
	return !errors.As(err, &marshal) // nothing was answered: no server, no connection, or it broke
}

// isDuplicate reports whether the write was refused because its _id is taken,
// by a document that is as safe as a write that was acknowledged.
func isDuplicate(err error) bool {
	return mongo.IsDuplicateKeyError(err) && !lacksConcern(err)
}

// lacksConcern reports whether the write may yet be undone: the majority did
// not confirm it in time.
func lacksConcern(err error) bool {
	var write mongo.WriteException
	return errors.As(err, &write) && write.WriteConcernError != nil
}
