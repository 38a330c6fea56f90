package domain

import "time"

// Notification records that a channel sent an event to a user.
type Notification struct {
	EventID EventID
	OrderID OrderID
	Channel string    // its name, such as "log"
	Attempt int       // the event's attempt that succeeded, from 1
	SentAt  time.Time // UTC, to the millisecond
}
