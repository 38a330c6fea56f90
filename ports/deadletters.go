package ports

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	"example.com/orderflow/domain"
)

// Message is what a broker carries: an event, or a message of another program.
type Message struct {
	ID          string // if the message is an event, the event's id
	ContentType string
	Headers     map[string]string
	Body        []byte

	// Our publishers leave these five empty.
	ContentEncoding string
	CorrelationID   string
	ReplyTo         string
	Type            string
	AppID           string

	Timestamp time.Time // UTC; brokers may truncate it to the second; zero: not set
}

// Clone returns a copy that shares nothing with the message.
func (m Message) Clone() Message {
	m.Headers, m.Body = maps.Clone(m.Headers), bytes.Clone(m.Body)
	return m
}

// DeadLetter is a message that a consumer or the broker has set aside, as the
// broker hands it over.
type DeadLetter struct {
	// ID is the event's id. A message that is not an event has an id made from
	// all of its fields, so that two messages never share one. A message has the
	// same ID each time it is set aside. If it was set aside from a subscription's
	// queue, a dot and the subscription's name follow.
	ID string

	// Subscription is the name of the subscription from whose queue the message was
	// set aside; empty: the main queue.
	Subscription string

	// Message is as its sender made it, but always has an ID. It has no headers that
	// count or explain failures. It has no expiration (it would vanish), no user (only
	// that user may set it) and no priority (a replay would overtake others).
	Message Message

	Failure Failure
}

// Failure says why and when a message was set aside. Times are UTC, to the
// millisecond.
type Failure struct {
	Reason       string // the error of the last attempt
	Attempts     int
	FirstFailure time.Time
	LastFailure  time.Time // identifies the failure among those of its message
}

// DeadLetterRecord is a dead letter as the store keeps it.
type DeadLetterRecord struct {
	ID           string
	Subscription string // of the letter that was put first, as Message
	Message      Message
	Failures     []Failure // by LastFailure, oldest first: the latest MaxFailures, at least one
	State        DeadLetterState

	// What the message says, if it is an event, also if that breaks a rule. They are empty
	// if they are not known, or are longer than such texts may be.
	EventType string // at most MaxEventType bytes
	UserID    string // valid by domain.CheckKnownUserID

	Since     time.Time // FirstFailure of the letter that was put first
	SettledAt time.Time // when it was replayed or discarded; zero while it waits
	SettledBy string    // who decided; empty while it waits
}

// LatestFailure returns the latest of the record's failures.
func (r DeadLetterRecord) LatestFailure() Failure { return r.Failures[len(r.Failures)-1] }

// MaxEventType bounds DeadLetterRecord.EventType, in bytes. It has visible characters only.
const MaxEventType = 128

// UnreadableID begins the id of each letter that is not an event.
const UnreadableID = "unreadable-"

// MaxFailures bounds the failures of a record.
const MaxFailures = 100

// DeadLetterState is the decision about a dead letter.
type DeadLetterState string

const (
	Waiting   DeadLetterState = "waiting"   // nobody has decided yet
	Replayed  DeadLetterState = "replayed"  // its message was put back into the queue
	Discarded DeadLetterState = "discarded" // nobody wants its message
)

// Check returns an error unless the state is one of the three.
func (s DeadLetterState) Check() error {
	switch s {
	case Waiting, Replayed, Discarded:
		return nil
	}
	return fmt.Errorf("state %q does not exist; the states are %s, %s and %s", s, Waiting, Replayed, Discarded)
}

// SettledByForget is the SettledBy of the records that Forget discarded.
const SettledByForget = "forget"

// DeadLetterRetention is how long a store keeps a dead letter after it was
// replayed or discarded.
const DeadLetterRetention = 30 * 24 * time.Hour

// DeadLetters stores dead letters. It keeps a waiting one until somebody settles
// it, and a settled one for [DeadLetterRetention], so that the decision can be
// undone. After that, no method finds it.
type DeadLetters interface {
	// Put stores the letter as a record that waits. If the ID has a record
	// already, Put adds the failure to it and sets its state to Waiting; its message
	// stays. Put changes nothing if the record has a failure with this LastFailure,
	// so it may be repeated.
	//
	// An error marked by [Permanent] is returned when the letter is too large, or
	// when the record of its ID can't be read.
	Put(ctx context.Context, letter DeadLetter) error

	// Get returns the record with this ID.
	//
	// ErrNotFound is returned when no record has it, and [*UnreadableError] when
	// the record can't be read.
	Get(ctx context.Context, id string) (DeadLetterRecord, error)

	// List returns one page of the records that match the query, by Since, then
	// by ID, oldest first. A listed record has only the ID of its message, because
	// the rest may be large. A caller that follows the cursors gets every record
	// that matches throughout exactly once, even while others are put and settled.
	//
	// List skips, logs and counts records that can't be read.
	//
	// ErrInvalidCursor is returned when List did not make query.Cursor.
	List(ctx context.Context, query DeadLetterQuery) (DeadLetterPage, error)

	// Settle changes the record's state. Unless the new state is Waiting, it stores
	// by, the name of the person who decided. The caller checks that by has 1 to
	// 128 visible characters, and passes the record as Get or List returned it.
	//
	// ErrChanged is returned when the letter has failed again or somebody else has
	// settled it since then, and ErrNotFound when the record does not exist. After
	// these errors, and the error for an unknown state, nothing has changed.
	Settle(ctx context.Context, record DeadLetterRecord, state DeadLetterState, by string) error

	// Forget removes what the records know of the user beside the orders' ids: it
	// empties the bodies and headers of the messages that are the user's events, even
	// of those that break a rule, and the reasons of their failures, and discards those
	// that wait, as settled by SettledByForget. Their UserID is empty afterwards. It returns
	// how many it has changed. It reads every record. It may be repeated after an error.
	Forget(ctx context.Context, userID string) (int, error)

	// Groups counts the records that match the query by subscription and [ReasonGroup] of
	// the latest failure's reason: the largest groups first, those of one size by
	// subscription, then by reason. It ignores Limit and Cursor, and may count records that
	// can't be read. It reads no messages, and without query.Reason no failures.
	Groups(ctx context.Context, query DeadLetterQuery) (DeadLetterGroups, error)

	// Account counts the records of each subscription that has any, by subscription, events
	// first. The cost may grow with the number of records that wait, but not of others.
	Account(ctx context.Context) ([]DeadLetterAccount, error)
}

// DeadLetterQuery selects dead letters. Empty fields select all.
type DeadLetterQuery struct {
	State        DeadLetterState
	Subscription *string // nil: all; an empty name is the main queue's
	EventType    string
	UserID       string
	OrderID      domain.OrderID // selects IDs that begin with it and a hyphen, as its events' do
	Reason       string         // selects records whose latest failure's reason contains it, byte by byte
	Group        string         // selects records by [ReasonGroup] of the latest failure's reason
	From         time.Time      // Since is not before it
	To           time.Time      // Since is before it
	Limit        int            // the page's size, from 1 to MaxListLimit; List replaces other values by the nearer bound
	Cursor       string         // NextCursor of the page before; empty: the first page
}

// DeadLetterPage is one page of dead letters.
type DeadLetterPage struct {
	Records    []DeadLetterRecord
	NextCursor string // opaque; empty on the last page
	Unreadable int    // number of records that List skipped
}

// DeadLetterQueue is the queue into which a broker's consumers set messages
// aside.
type DeadLetterQueue interface {
	// Drain calls keep for each dead letter, several at once, until ctx ends. Then
	// it starts no more calls, waits for those that run, and returns nil. The
	// context of a call outlives ctx, but has its own timeout.
	//
	// The queue forgets a letter once keep has returned nil. After an error or a
	// panic it hands the letter over again later, and the others without delay.
	//
	// Drain waits while the broker is unavailable. It returns the errors of
	// [EventConsumer].Consume, and an error when keep is nil.
	Drain(ctx context.Context, keep func(ctx context.Context, letter DeadLetter) error) error

	// SetAside makes a dead letter of the event, as if the subscription's consumer
	// had set it aside with this failure; an empty name is the main queue's. It
	// returns nil once the broker has promised to keep the letter. Its errors are
	// those of Publish.
	SetAside(ctx context.Context, subscription string, event domain.Event, failure Failure) error

	// Replay puts the letter's message back into the queue that its subscription's
	// consumer reads; only the letter's ID, Subscription and Message matter. The
	// consumer gets it at its first attempt, with every field as it is here. Replay
	// returns nil once the broker has promised to keep the message; after an error
	// the broker may have it or not.
	//
	// ErrUnavailable is returned when the broker is out of reach, refuses
	// messages, or does not answer, and when the subscription's queue does not exist.
	Replay(ctx context.Context, letter DeadLetter) error

	// Depth counts the letters that nobody has kept yet. It creates no queue.
	//
	// ErrNotFound is returned when the queue does not exist.
	Depth(ctx context.Context) (QueueDepth, error)
}
