package ports

import (
	"context"
	"time"

	"example.com/orderflow/domain"
)

// Channel sends notifications of events.
type Channel interface {
	// Name returns the channel's name in the delivery log: 1 to 32 visible
	// characters, always the same, unique among the channels of a notifier.
	Name() string

	// Send sends one notification, with its ID if the receiver can keep it, so that
	// the receiver recognises a repeat. Send returns nil once the receiver has
	// accepted the notification. The answer is the receiver's, with an error, too.
	// Neither the answer nor an error contains a secret.
	//
	// An error marked by [Permanent] is returned when a repetition can't help, one
	// marked by [Gone] when the receiver wants no notification any more, and one
	// marked by [Postpone] when the receiver can't be reached or takes nothing at the
	// moment. Any other error is returned when the receiver refuses this
	// notification. [RetryAfter] adds the time that the receiver asks for.
	Send(ctx context.Context, message Outgoing) (Answer, error)
}

// AddressedChannel is a channel that needs an address for each notification.
type AddressedChannel interface {
	Channel

	// CheckAddress returns an error unless the channel can send to the address. Its
	// text is the end of a sentence that begins with the name of a field, such as
	// "must be an address like ann@example.com". It does no I/O.
	CheckAddress(address string) error

	// Receiver returns the name of the address's receiver, which fails as a whole: a
	// mail server, or one endpoint. The name has no secret, no personal data, and at most
	// 128 bytes. It is always the same for an address.
	Receiver(address string) string
}

// Outgoing is a notification as a channel sends it.
type Outgoing struct {
	ID        string // identifies the notification: the same at each attempt, and another for each recipient
	Event     domain.Event
	Attempt   int     // from 1
	Recipient string  // as in its key: domain.UserRecipient, an endpoint's name, or empty
	Address   string  // empty unless the channel is an AddressedChannel
	Content   Content // zero if the channel is used without templates
	Test      bool    // the notification is a test, about an order that does not exist
}

// Content is the text of a notification. Subject has no line break.
type Content struct {
	Language string // BCP 47, such as "en"
	Subject  string
	Text     string
	HTML     string // empty: none
}

// Answer is what a receiver answered: for people, not for programs.
type Answer struct {
	Code string // such as "250" or "503"; empty: no answer
	Text string // may be long; the delivery log cuts it
}

// DeliveryLog records the state of each notification. It prevents a second notification
// when an event comes twice, or to two processes at once. It keeps the events of the
// notifications that wait.
type DeliveryLog interface {
	// Claim reserves sending a notification. The caller holds the claim until it
	// records or releases it, or the adapter's lease ends. An adapter may end a claim
	// earlier, when the process that holds it has ended.
	//
	// ErrExists is returned when the notification is recorded, in any state but
	// Dead: a dead one is claimed again, because its event was replayed. ErrClaimed
	// is returned when another caller holds the claim. An error marked by
	// [Permanent] is returned when the notification's record can't be read. The
	// event causes no other error.
	Claim(ctx context.Context, key domain.NotificationKey) (DeliveryClaim, error)

	// ClaimDue claims up to limit (1 to MaxListLimit) notifications by the channel
	// that wait and whose NextTry has come, the longest due first. It returns fewer,
	// or none, if no more are due and unclaimed. No two callers get the same one
	// until its claim ends. ClaimDue skips and logs records that can't be read.
	ClaimDue(ctx context.Context, channel string, limit int) ([]WaitingDelivery, error)

	// ClaimHeld is ClaimDue for the notifications that are held by this pause,
	// whenever their next try is, the longest held first.
	ClaimHeld(ctx context.Context, by domain.PauseKey, limit int) ([]WaitingDelivery, error)

	// ClaimLease returns how long a claim lasts.
	ClaimLease() time.Duration

	// List returns one page of the recorded notifications that match the query, by
	// At, then by the key's fields, byte by byte: with OrderID in ascending order (the
	// oldest first), otherwise in descending order (the newest first). A caller that
	// follows the cursors gets every notification that matches and does not change
	// meanwhile exactly once.
	//
	// List skips records that it can't read, logs their ids, and counts them.
	//
	// ErrInvalidCursor is returned when List did not make query.Cursor.
	List(ctx context.Context, query NotificationQuery) (NotificationPage, error)

	// Forget empties UserID, receivers, reasons and answers of the user's notifications,
	// and keeps the orders' ids. Notifications that wait become Skipped, At this time;
	// their claims end, and their events are deleted. Forget returns how many
	// notifications it has changed: none if userID is empty. It may be repeated after an
	// error.
	Forget(ctx context.Context, userID string) (int, error)

	// Expire deletes up to limit (1 to MaxListLimit) notifications that do not wait
	// and have not changed since the time before, the oldest first, with their claims.
	// It returns how many it has deleted: fewer than limit if no more have expired. It
	// reads no others. A caller that has claimed a dead notification can still record it.
	// It may leave a dead one while it is claimed.
	Expire(ctx context.Context, before time.Time, limit int) (int, error)

	// Holder returns who has claimed the notification. It is zero if nobody has.
	Holder(ctx context.Context, key domain.NotificationKey) (Holder, error)

	// Account counts the notifications of each channel and recipient that has any, by
	// channel, then by recipient. A notification that is only claimed is not counted. If it
	// is recorded after Expire, it counts once more. The cost may grow with the number of
	// notifications that wait or are dead, but not of others.
	Account(ctx context.Context) ([]DeliveryAccount, error)
}

// DeliveryClaim is the right to send one notification.
type DeliveryClaim interface {
	// Record stores the notification, and ends the claim. Its key is the claim's. If
	// it waits, Record stores the event, too, and ClaimDue returns both from NextTry
	// on; otherwise it deletes the event.
	//
	// If the notification was dead, Record keeps the attempts that led to that, before
	// the new ones: MaxAttempts of both, the latest.
	//
	// Record of a Sent notification works even after the claim has ended, because it
	// was sent; if one is recorded as Sent already, that record stays. Record of any
	// other state changes nothing after the claim has ended and another caller has
	// claimed or recorded the notification. Record returns nil in all these cases.
	// Its errors are marked as Claim's are.
	Record(ctx context.Context, notification domain.Notification, event domain.Event) error

	// Release gives the claim back unused, and is the last call on it. The
	// notification can be claimed again at once, as before this claim. After the claim
	// has ended or was recorded, Release does nothing.
	Release(ctx context.Context) error
}

// WaitingDelivery is a notification that its caller has claimed.
type WaitingDelivery struct {
	Claim        DeliveryClaim
	Notification domain.Notification
	Event        domain.Event
}

// NotificationQuery selects notifications. Empty fields select all.
type NotificationQuery struct {
	OrderID domain.OrderID
	UserID  string
	Channel string
	States  []domain.NotificationState // any of them
	From    time.Time                  // At is not before it
	To      time.Time                  // At is before it
	Limit   int                        // the page's size, from 1 to MaxListLimit; List replaces other values by the nearer bound
	Cursor  string                     // NextCursor of the page before; empty: the first page
}

// NotificationPage is one page of notifications.
type NotificationPage struct {
	Notifications []domain.Notification
	NextCursor    string // opaque; empty on the last page
	Unreadable    int    // records that List skipped
}

// ChannelStates keeps what all notifiers share about their channels: which channels
// there have been, which channels and receivers are paused, and from when on recipients
// get events.
type ChannelStates interface {
	// Register adds the channels to the known ones, and returns all known names,
	// sorted.
	Register(ctx context.Context, names ...string) ([]string, error)

	// Forget removes the name from the known ones, and the openings of the channel: if it
	// is added again, its account begins anew. It returns nil if it is unknown.
	Forget(ctx context.Context, name string) error

	// Pauses returns all pauses, by channel, then by receiver.
	Pauses(ctx context.Context) ([]Pause, error)

	// Pause stores the pause if none with its key is stored.
	//
	// ErrExists is returned when one is. It is unchanged.
	Pause(ctx context.Context, pause Pause) error

	// Change replaces the pause before, as Pauses returned it, by the pause after,
	// which has the same key. Of several callers one succeeds.
	//
	// ErrChanged is returned when the pause is not the same any more, or was ended.
	Change(ctx context.Context, before, after Pause) error

	// End removes the pause with this key. It returns nil if there is none.
	//
	// ErrChanged is returned when the pause is not the same as before any more.
	End(ctx context.Context, before Pause) error

	// Openings returns all openings, by channel, then by recipient.
	Openings(ctx context.Context) ([]Opening, error)

	// Open stores the opening if its channel and recipient have none.
	//
	// ErrExists is returned when they have one. It is unchanged.
	Open(ctx context.Context, opening Opening) error

	// Close removes the opening of a recipient that is not configured any more. If it is
	// added again, its account begins anew. Close returns nil if there is no opening.
	Close(ctx context.Context, channel, recipient string) error
}

// Pause keeps notifications from a channel or a receiver. They are held.
type Pause struct {
	domain.PauseKey
	Kind   PauseKind
	Reason string    // such as the last error
	By     string    // who paused or resumed it; empty: the notifier
	Since  time.Time // UTC, to the millisecond, as Probe
	Probe  time.Time // of kind Breaker: when one notification is tried, to see whether the receiver works again
	Probes int       // how many have failed
}

// PauseKind says why something is paused, and how the pause ends.
type PauseKind string

const (
	Manual   PauseKind = "paused"   // a person has paused it, and resumes it
	Breaker  PauseKind = "broken"   // many attempts have failed in a row; a successful probe ends it
	Off      PauseKind = "off"      // the receiver wants no notifications any more; until a person resumes it, those to users are skipped, and others held
	Draining PauseKind = "draining" // the pause is over; held notifications are sent at a bounded rate
)

// Contact says how to reach a user.
type Contact struct {
	UserID    string
	Language  string            // BCP 47, such as "de"; empty: the default
	Addresses map[string]string // by the channel's name
	Off       []string          // channels that the user does not want; sorted
	UpdatedAt time.Time         // UTC, to the millisecond
}

// Contacts keeps users' contacts. The caller checks them.
type Contacts interface {
	// Get returns the user's contact.
	//
	// ErrNotFound is returned when the user has none, and [*UnreadableError] when
	// its record can't be read.
	Get(ctx context.Context, userID string) (Contact, error)

	// Put stores the contacts, in place of the users' earlier ones. After an error
	// some may be stored and others not; Put may be repeated. It takes at most
	// MaxListLimit.
	Put(ctx context.Context, contacts ...Contact) error

	// Delete deletes the user's contact.
	//
	// ErrNotFound is returned when the user has none.
	Delete(ctx context.Context, userID string) error

	// List returns one page of the contacts, by UserID, byte by byte. It skips
	// records that it can't read, logs their ids, and counts them.
	//
	// ErrInvalidCursor is returned when List did not make the cursor. The first page
	// has an empty cursor. Another limit than 1 to MaxListLimit is replaced by the
	// nearer bound.
	List(ctx context.Context, limit int, cursor string) (ContactPage, error)
}

// ContactPage is one page of contacts.
type ContactPage struct {
	Contacts   []Contact
	NextCursor string // opaque; empty on the last page
	Unreadable int    // records that List skipped
}
