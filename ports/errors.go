package ports

import (
	"errors"
	"time"

	"example.com/orderflow/domain"
)

// Adapters wrap these errors; test for them with [errors.Is].
var (
	// ErrExists is returned when the id is in use. The stored record is unchanged.
	ErrExists = errors.New("exists already")

	// ErrNotFound is returned when no record has the id.
	ErrNotFound = errors.New("not found")

	// ErrClaimed is returned when another process holds the claim. Try again later.
	ErrClaimed = errors.New("claimed by another process")

	// ErrChanged is returned when the record has changed since the caller read it.
	// The call changed nothing. Read the record again.
	ErrChanged = errors.New("has changed since it was read")

	// ErrInvalidCursor is returned when List did not make the cursor.
	ErrInvalidCursor = errors.New("invalid cursor")

	// ErrUnavailable is returned when the server behind the port does not work at
	// the moment: it can't be reached, is too slow or full, or refuses the caller.
	// A write may have happened or not. Every error that is not about the order,
	// event or dead letter itself wraps ErrUnavailable.
	ErrUnavailable = errors.New("unavailable")

	// ErrRefused is returned, together with ErrUnavailable, when the server
	// refuses the login or a right. A person has to change one of them.
	ErrRefused = errors.New("refused")
)

// UnreadableError is returned when a stored record can't be read, because another
// program wrote it or it is damaged. Lists skip such records and count them.
type UnreadableError struct {
	ID     string // the record's id, as text
	Field  string // the first unreadable field, by its name in JSON
	Reason string // the end of a sentence that begins with the field's name
}

func (e *UnreadableError) Error() string {
	return "record " + e.ID + " can't be read: " + e.Field + " " + e.Reason
}

// Permanent marks err as one that a retry can't mend. When a handler returns it,
// the event becomes a dead letter at once. Permanent(nil) is nil.
func Permanent(err error) error { return mark(err, permanent) }

// IsPermanent reports whether err, or an error it wraps, was marked by
// [Permanent].
func IsPermanent(err error) bool { return isMarked(err, permanent) }

// Postpone marks err as one that the event did not cause, such as an outage of the
// handler's store. When a handler returns it, the event comes again after a delay
// and the attempt does not count. Postpone(nil) is nil.
func Postpone(err error) error { return mark(err, postponed) }

// IsPostponed reports whether err, or an error it wraps, was marked by
// [Postpone].
func IsPostponed(err error) bool { return isMarked(err, postponed) }

// Gone marks err as the answer of a receiver that wants no notification any more.
// Such an error is also marked by [Permanent]. Gone(nil) is nil.
func Gone(err error) error { return Permanent(mark(err, gone)) }

// IsGone reports whether err, or an error it wraps, was marked by [Gone].
func IsGone(err error) bool { return isMarked(err, gone) }

// RetryAfter adds to err the time that its receiver asks to wait before the next
// try. It does not change how err is marked. RetryAfter(nil, d) is nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, d}
}

// RetryDelay returns the time that was added by [RetryAfter]. It reports false if
// none was.
func RetryDelay(err error) (d time.Duration, ok bool) {
	var after *retryAfterError
	if errors.As(err, &after) {
		return after.delay, true
	}
	return 0, false
}

type retryAfterError struct {
	error
	delay time.Duration
}

func (e *retryAfterError) Unwrap() error { return e.error }

// OutcomeOf returns what an attempt came to whose [Channel].Send returned err.
func OutcomeOf(err error) domain.Outcome {
	switch {
	case err == nil:
		return domain.Accepted
	case IsPermanent(err):
		return domain.Rejected
	case IsPostponed(err):
		return domain.Unreachable
	}
	return domain.Refused
}

type verdict int

const (
	permanent verdict = iota
	postponed
	gone
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
