package domain

import "time"

// NotificationKey identifies a notification: an event, the channel that sends it,
// and who receives it.
type NotificationKey struct {
	EventID   EventID
	Channel   string // its name, such as "email"
	Recipient string // UserRecipient, the name of an endpoint, or empty if the channel has no addresses
}

// UserRecipient is the recipient of a notification to the order's user. It does not
// change with the user's address.
const UserRecipient = "user"

// String returns the id that a receiver sees: the same for each attempt, and
// another for each recipient. It is the event's id for a channel without addresses.
func (k NotificationKey) String() string {
	if k.Recipient == "" {
		return string(k.EventID)
	}
	return string(k.EventID) + "." + k.Channel + "." + k.Recipient
}

// NotificationState is the state of a notification.
type NotificationState string

const (
	Sent     NotificationState = "sent"     // the receiver has accepted it
	Retrying NotificationState = "retrying" // the receiver has refused it; it is tried again
	Held     NotificationState = "held"     // its channel or receiver is paused or out of reach
	Dead     NotificationState = "dead"     // it was given up; its event is a dead letter
	Skipped  NotificationState = "skipped"  // nobody wants it: the user has no address, or does not want the channel
)

// NotificationStates are all states.
var NotificationStates = []NotificationState{Sent, Retrying, Held, Dead, Skipped}

// Waits reports whether a notification in this state will be tried again.
func (s NotificationState) Waits() bool { return s == Retrying || s == Held }

// Notification is one notification with its attempts. All times are UTC, to the
// millisecond.
type Notification struct {
	EventID   EventID
	Channel   string
	Recipient string
	OrderID   OrderID
	UserID    string // empty if an earlier version recorded it, or if the user was forgotten

	State    NotificationState
	Reason   string    // why it is not sent; empty if it is
	At       time.Time // of the latest change; once it is sent, of that
	NextTry  time.Time // when it is tried again, at the latest; zero unless it waits
	HeldBy   PauseKey  // zero unless it is held
	Receiver string    // that the latest attempt went to; empty: none, the channel has one receiver, or the user was forgotten

	Attempt  int       // the number of attempts that count: those that the receiver accepted or refused
	First    time.Time // when the first of them began, plus the time held or out of reach since then; zero before it
	Attempts []Attempt // the latest MaxAttempts, the oldest first; those that did not count, too
}

// MaxAttempts bounds the attempts that a notification keeps.
const MaxAttempts = 20

// Key returns the notification's key.
func (n Notification) Key() NotificationKey {
	return NotificationKey{EventID: n.EventID, Channel: n.Channel, Recipient: n.Recipient}
}

// Since returns when the notification got into its state. A retried one has been so since
// its first attempt, without the time that it was held.
func (n Notification) Since() time.Time {
	switch {
	case n.State != Retrying:
		return n.At
	case !n.First.IsZero():
		return n.First
	case len(n.Attempts) > 0:
		return n.Attempts[0].At
	}
	return n.At
}

// Attempt is one try to send a notification.
type Attempt struct {
	At       time.Time
	Duration time.Duration // to the millisecond
	Outcome  Outcome
	Code     string // the receiver's, such as "250" or "503"; empty: no answer
	Answer   string // the receiver's answer, or the error; at most MaxAnswer bytes of UTF-8
}

// MaxAnswer bounds an attempt's answer, in bytes.
const MaxAnswer = 1 << 10

// Outcome is the result of an attempt.
type Outcome string

const (
	Accepted    Outcome = "accepted"    // the receiver accepted the notification
	Refused     Outcome = "refused"     // the receiver refused it, and may accept it later
	Rejected    Outcome = "rejected"    // the receiver will never accept it
	Unreachable Outcome = "unreachable" // the receiver could not be reached, or takes nothing now; does not count
)

// PauseKey identifies a pause: of a channel, or of one of its receivers.
type PauseKey struct {
	Channel  string
	Receiver string // empty: the whole channel
}
