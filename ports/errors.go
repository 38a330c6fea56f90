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

	// ErrUnavailable: the server behind the port does not do its work now: it is
	// out of reach, too slow, full, or refuses whoever asks. What was to be
	// written may have been, or may not. An error of an adapter that says
	// nothing of the order, event or letter at hand is of this kind, whatever
	// its cause.
	ErrUnavailable = errors.New("unavailable")

	// ErrRefused is returned, together with ErrUnavailable, when the server
	// refuses the login or a right: somebody has to change something there.
	ErrRefused = errors.New("refused")
)

// UnreadableError is returned when a record is kept but can't be read: somebody
// else has written it, or it is damaged. Lists pass over such records and count
// them.
type UnreadableError struct {
	ID     string // of the record, as text
	Field  string // the first that can't be read, by its name in JSON
	Reason string // why, as the end of a sentence that begins with the field's name
}

func (e *UnreadableError) Error() string {
	return "record " + e.ID + " can't be read: " + e.Field + " " + e.Reason
}

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
