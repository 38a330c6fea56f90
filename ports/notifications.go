package ports

import (
	"context"
	"time"

	"example.com/orderflow/domain"
)

// Channel is a way to tell a user of an event.
type Channel interface {
	// Name is the channel's name in the delivery log: 1 to 32 visible
	// characters, always the same, unique among the channels of a notifier.
	Name() string

	// Send sends one notification. nil means that the receiver has accepted
	// it. Where the receiver can keep it, the event's id goes along, so that a
	// repeat can be told.
	//
	// An error marked by [Permanent] says that no repetition will help; one
	// marked by [Postpone], that the receiver could not be reached, which is
	// not the event's fault. Any other error is the receiver's refusal of this
	// notification.
	Send(ctx context.Context, event domain.Event) error
}

// DeliveryLog remembers which notifications went out, so that an event that is
// handed over twice, or to two processes at once, is notified once.
type DeliveryLog interface {
	// Claim reserves sending the event's notification by the channel. The
	// claim is the caller's until it is recorded or released, or runs out after
	// a time that the adapter sets, its lease. An adapter may end a claim before
	// that when the process that holds it has ended.
	//
	// ErrExists: that notification is recorded as sent; there is nothing to do.
	// ErrClaimed: somebody else holds the claim. An error marked by [Permanent]
	// says that the log can't read what it has of this notification. Any other
	// error is none of the event's.
	Claim(ctx context.Context, event domain.EventID, channel string) (DeliveryClaim, error)

	// ClaimLease returns how long a claim lasts.
	ClaimLease() time.Duration

	// List returns what was recorded for the order's events. A record that can't
	// be read is passed over, logged with its id, and counted.
	List(ctx context.Context, order domain.OrderID) (NotificationList, error)
}

// NotificationList is what was sent about an order.
type NotificationList struct {
	Notifications []domain.Notification // by SentAt
	Unreadable    int                   // how many records were passed over
}

// DeliveryClaim is the right to send one notification.
type DeliveryClaim interface {
	// Record keeps the notification, whose event and channel are those of the
	// claim, as sent. It holds even if the claim has run out meanwhile, for it
	// says what happened; if another has recorded first, the first record
	// stays and Record returns nil. Its errors are marked as Claim's are.
	Record(ctx context.Context, notification domain.Notification) error

	// Release gives the claim back unused, and is the last call on it. Once it
	// has run out or was recorded, Release does nothing.
	Release(ctx context.Context) error
}
