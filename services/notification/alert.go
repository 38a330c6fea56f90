package notification

import (
	"time"

	"example.com/orderflow/domain"
)

// Alerter alerts an operator about what needs a person.
type Alerter interface {
	// Alert queues the alert and returns at once. Several goroutines may call it.
	Alert(alert Alert)
}

// Alert is a message to an operator. Its texts contain no secret, and no address of a
// person.
type Alert struct {
	Kind     AlertKind
	Channel  string
	Receiver string // empty: the whole channel, or its only receiver

	// The notification that caused the alert. They are empty if none did.
	EventID   domain.EventID
	OrderID   domain.OrderID
	Recipient string
	Attempts  int // that counted

	Answer        string    // the receiver's last answer or the last error; of Back and Stuck, the reason of the pause
	Since         time.Time // when the pause, or the first attempt of a dead notification, began
	Notifications int       // how many the alert is about; 0: unknown
}

// AlertKind says what has happened.
type AlertKind string

const (
	GivenUp AlertKind = "given up" // a notification is dead; its event is a dead letter
	Paused  AlertKind = "paused"   // a receiver fails, or wants no notifications any more; notifications to it wait, or are skipped
	Back    AlertKind = "back"     // a receiver works again; notifications that waited are sent
	Stuck   AlertKind = "stuck"    // a channel or receiver has been paused for an hour
)
