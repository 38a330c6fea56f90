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

	// ErrInvalidCursor: the cursor is none that List gave out.
	ErrInvalidCursor = errors.New("invalid cursor")

	// ErrUnavailable: the server behind the port is out of reach or did not
	// answer in time. What was to be written may have been, or may not.
	ErrUnavailable = errors.New("unavailable")
)

// Permanent marks err as one that no repetition will mend: a handler that
// returns it has its event set aside as a dead letter at once. Permanent(nil)
// is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err, or an error it wraps, was marked by
// [Permanent].
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }
