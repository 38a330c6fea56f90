package ports

import (
	"context"
	"fmt"
	"time"

	"example.com/orderflow/domain"
)

// DeadLetter is a message that was set aside because it could not be dealt
// with.
type DeadLetter struct {
	// ID is the event's id; that of a message that is no event is made from
	// all that its sender said, so that no two messages share one. It is the
	// same each time the message is set aside.
	ID string

	// The message as its sender made it. Left out are its expiration, at which
	// it would vanish; its user, whom only that user may name; and its
	// priority, for a replayed message is not to overtake others.
	MessageID       string // or one given when it was set aside
	ContentType     string
	ContentEncoding string
	CorrelationID   string
	ReplyTo         string
	Type            string
	AppID           string
	Timestamp       time.Time         // UTC, to the millisecond at most; zero: none
	Headers         map[string]string // without those that count or explain failures
	Body            []byte

	// Failures are the times it was set aside, the latest last: at least one,
	// and the latest MaxFailures at most.
	Failures []Failure

	// What the store adds; a broker leaves them empty.
	State     DeadLetterState
	Since     time.Time // the FirstFailure with which it was first put
	SettledAt time.Time // when it was replayed or discarded; zero while it waits
	SettledBy string    // who decided that; empty while it waits
}

// Failure says how a message came to be set aside. Times are UTC, to the
// millisecond.
type Failure struct {
	Reason       string // of the last attempt
	Attempts     int    // how often it was handed over, or tried to be
	FirstFailure time.Time
	LastFailure  time.Time // tells this failure of a message from its others
}

// MaxFailures is how many of a dead letter's failures are kept.
const MaxFailures = 100

// DeadLetterState says what was decided about a dead letter.
type DeadLetterState string

const (
	Waiting   DeadLetterState = "waiting"   // nothing yet
	Replayed  DeadLetterState = "replayed"  // its message was put back into the queue
	Discarded DeadLetterState = "discarded" // its message is not wanted
)

// Check returns an error unless the state is one of the three.
func (s DeadLetterState) Check() error {
	switch s {
	case Waiting, Replayed, Discarded:
		return nil
	}
	return fmt.Errorf("there is no state %q; the states are %s, %s and %s", s, Waiting, Replayed, Discarded)
}

// DeadLetterRetention is how long a dead letter is kept after it was replayed
// or discarded.
const DeadLetterRetention = 30 * 24 * time.Hour

// DeadLetters keeps dead letters until it is decided what becomes of them, and
// [DeadLetterRetention] longer, so that a decision can be undone. What has been
// settled for longer than that is as if it had never been there.
type DeadLetters interface {
	// Put keeps the letter, which has one failure, as one that waits. If a
	// letter is kept under that id, the failure is added to that one's, and it
	// waits again, whatever had been decided about it; its message stays as it
	// was. A failure that it has already, by LastFailure, changes nothing: Put
	// may be repeated.
	//
	// An error marked by [Permanent] says that the letter can't be kept: it does
	// not have one failure, it is too large, or what is kept under its id can't
	// be read.
	Put(ctx context.Context, letter DeadLetter) error

	// Get returns the letter with that id.
	//
	// ErrNotFound: there is none. [*UnreadableError]: its record can't be read.
	Get(ctx context.Context, id string) (DeadLetter, error)

	// List returns one page of the letters that query asks for, by Since, then
	// by ID, oldest first. Of their messages they have the MessageID only, for
	// the rest may be large: Get has all. Following the cursors visits every
	// letter that query asks for all the while exactly once, whatever is put
	// and settled meanwhile.
	//
	// A record that can't be read is passed over, logged with its id, and
	// counted.
	//
	// ErrInvalidCursor: query.Cursor is none of List's.
	List(ctx context.Context, query DeadLetterQuery) (DeadLetterPage, error)

	// Settle gives the letter another state, and keeps by as who decided it: 1
	// to 128 visible characters, which the caller has checked. A letter that
	// waits again was settled by nobody. The caller shows the letter as it has
	// read it, by Get or List: one that has failed again, or was settled by
	// somebody else, stays as it is now.
	//
	// ErrChanged: that is so. ErrNotFound: there is no such letter. A state that
	// is none of the three is an error, and changes nothing.
	Settle(ctx context.Context, letter DeadLetter, state DeadLetterState, by string) error
}

// DeadLetterQuery asks for dead letters.
type DeadLetterQuery struct {
	State   DeadLetterState // only of this state; empty: of any
	OrderID domain.OrderID  // only those whose id begins with this one and a hyphen, as its events' do; empty: all
	Reason  string          // only those whose latest failure's reason contains this text, byte by byte; empty: all
	Limit   int             // at most so many, from 1 to MaxListLimit; outside of it: the nearer end
	Cursor  string          // where the page before ended, its NextCursor; empty: from the oldest
}

// DeadLetterPage is one page of dead letters.
type DeadLetterPage struct {
	Letters    []DeadLetter
	NextCursor string // opaque; empty on the last page
	Unreadable int    // how many records were passed over
}

// DeadLetterQueue is where a broker's consumers put what they set aside.
type DeadLetterQueue interface {
	// Drain hands the dead letters, each with the failure that it was set aside
	// for, to keep, several at once, until ctx ends; then it begins no more,
	// waits for those in hand, and returns nil. The context that keep is given
	// outlives ctx, but has a bound of its own.
	//
	// Once keep has returned nil the queue forgets the letter. On an error,
	// or a panic, it is handed over again later, without holding up others.
	//
	// A broker that goes away is waited for, and errors are those of Consume; one
	// of them says that keep is nil.
	Drain(ctx context.Context, keep func(ctx context.Context, letter DeadLetter) error) error

	// Replay puts the letter's message back into the queue from which it was
	// set aside: to be handed over at the first attempt, with all that the
	// letter has of it, and nothing that counts failures. It returns nil once
	// the broker has promised to keep the message; after an error it may be kept
	// or not.
	//
	// ErrUnavailable: as of [EventPublisher].
	Replay(ctx context.Context, letter DeadLetter) error
}
