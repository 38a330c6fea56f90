package domain

import "time"

// Notification is the record that a user was told of an event.
type Notification struct {
	EventID EventID
	OrderID OrderID
	Channel string    // by which way, such as "log"
	Attempt int       // at which delivery of the event, from 1
	SentAt  time.Time // UTC, to the millisecond
}
