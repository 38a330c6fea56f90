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

	// Send sends one notification, with the event's id if the receiver can keep
	// it, so that the receiver recognises a repeat. Send returns nil once the
	// receiver has accepted the notification.
	//
	// An error marked by [Permanent] is returned when a repetition can't help, and
	// one marked by [Postpone] when the receiver can't be reached. Any other error
	// is returned when the receiver refuses this notification.
	Send(ctx context.Context, event domain.Event) error
}

// DeliveryLog records which notifications were sent. It prevents a second
// notification when an event comes twice, or to two processes at once.
type DeliveryLog interface {
	// Claim reserves sending the event's notification by the channel. The caller
	// holds the claim until it records or releases it, or the adapter's lease ends.
	// An adapter may end a claim earlier, when the process that holds it has ended.
	//
	// ErrExists is returned when the notification is recorded as sent, and
	// ErrClaimed when another caller holds the claim. An error marked by
	// [Permanent] is returned when the notification's record can't be read. The
	// event causes no other error.
	Claim(ctx context.Context, event domain.EventID, channel string) (DeliveryClaim, error)

	// ClaimLease returns how long a claim lasts.
	ClaimLease() time.Duration

	// List returns the notifications recorded for the order's events. It skips
	// records that it can't read, logs their ids, and counts them.
	List(ctx context.Context, order domain.OrderID) (NotificationList, error)
}

// NotificationList is the notifications that were sent about an order.
type NotificationList struct {
	Notifications []domain.Notification // by SentAt
	Unreadable    int                   // records that List skipped
}

// DeliveryClaim is the right to send one notification.
type DeliveryClaim interface {
	// Record stores the notification as sent. Its event and channel are the
	// claim's. Record works even after the claim has ended, because the
	// notification was sent. If another caller has recorded it first, Record keeps
	// the first record and returns nil. Its errors are marked as Claim's are.
	Record(ctx context.Context, notification domain.Notification) error

	// Release gives the claim back unused, and is the last call on it. After the
	// claim has ended or was recorded, Release does nothing.
	Release(ctx context.Context) error
}
