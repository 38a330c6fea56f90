package harness

import "example.com/orderflow/domain"

// Picky is the channel that refuses the notifications of some orders.
const Picky = "picky"

// Mood says what the channel picky does with the notification of an order.
type Mood int

const (
	Accepts    Mood = iota // at once
	AcceptsAt2             // the second attempt
	RejectsAt2             // the second attempt, for good
	Rejects                // the first attempt, for good
)

// MoodOf returns the mood about the order, which depends on its id.
func MoodOf(order domain.OrderID) Mood {
	if order == "" {
		return Accepts
	}
	switch order[len(order)-1] {
	case 'd':
		return AcceptsAt2
	case 'e':
		return RejectsAt2
	case 'f':
		return Rejects
	}
	return Accepts
}

// The victim's lines: the channel picky has sent a notification, the delivery log has
// recorded one as sent, and the queue has promised to keep a message that is no event.
const (
	PickySent  = "picky has sent it"
	Recorded   = "recorded"
	PoisonKept = "poison kept"
)

// RefusedOnPurpose is the error with which the victim refuses to publish an event, so
// that the relay releases it.
const RefusedOnPurpose = "refused on purpose"
