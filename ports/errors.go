package ports

import "errors"

// Errors with a meaning. Adapters wrap them; test with [errors.Is].
var (
	// ErrExists: something is kept under that id already, and stays as it is.
	ErrExists = errors.New("exists already")

	// ErrNotFound: nothing is kept under that id.
	ErrNotFound = errors.New("not found")

	// ErrClaimed: somebody else has it in hand; try again later.
	ErrClaimed = errors.New("claimed by another")

	// ErrChanged: it is not any more as the caller has read it, and stays as it
	// is; read it again.
	ErrChanged = errors.New("has changed meanwhile")

	// ErrInvalidCursor: the cursor is none that List gave out.
	ErrInvalidCursor = errors.New("invalid cursor")

	// ErrUnavailable: the server behind the port is out of reach or did not
	// answer in time. What was to be written may have been, or may not.
	ErrUnavailable = errors.New("unavailable")
)

// Permanent marks err as one that no repetition will mend: a handler that
// returns it has its event set aside as a dead letter at once. Permanent(nil)
// is nil.
func Permanent(err error) error { return mark(err, permanent) }

// IsPermanent reports whether err, or an error it wraps, was marked by
// [Permanent].
func IsPermanent(err error) bool { return isMarked(err, permanent) }

// Postpone marks err as none of the event's fault, such as a store of the
// handler's own that is away: a handler that returns it has the event come
// again after a delay, and the attempt is not counted. Postpone(nil) is nil.
func Postpone(err error) error { return mark(err, postponed) }

// IsPostponed reports whether err, or an error it wraps, was marked by
// [Postpone].
func IsPostponed(err error) bool { return isMarked(err, postponed) }

type verdict int

const (
	permanent verdict = iota
	postponed
)

type markedError struct {
	error
	verdict verdict
}

func (e *markedError) Unwrap() error { return e.error }

func (e *markedError) Is(target error) bool {
	other, ok := target.(*markedError)
	return ok && other.error == nil && other.verdict == e.verdict
}

func mark(err error, v verdict) error {
	if err == nil {
		return nil
	}
	return &markedError{err, v}
}

func isMarked(err error, v verdict) bool { return errors.Is(err, &markedError{verdict: v}) }
