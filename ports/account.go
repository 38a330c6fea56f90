package ports

import "time"

// Backlog is what waits.
type Backlog struct {
	N      int
	Oldest time.Time // UTC, to the millisecond; zero: nothing waits, or the time is not known
}

// OutboxAccount counts the orders and their events. It adds up if Orders is Published +
// Waiting.N: each of the three is counted on its own.
type OutboxAccount struct {
	Orders    int     // that were ever added
	Published int     // events that were ever marked as published
	Waiting   Backlog // events in the outbox, claimed or not; by their orders' times
}

// DeliveryAccount counts the notifications by one channel to one recipient. Each event has
// one of them, once it is recorded, and each notification is counted in exactly one field.
type DeliveryAccount struct {
	Channel   string
	Recipient string

	Sent    int // ever recorded; they stay counted after Expire
	Skipped int // ever recorded, as Sent
	Expired int // dead ones that Expire has deleted

	Retrying Backlog // by Notification.Since, as the others
	Held     Backlog
	Dead     Backlog
}

// Total returns how many notifications there have been.
func (a DeliveryAccount) Total() int {
	return a.Sent + a.Skipped + a.Expired + a.Retrying.N + a.Held.N + a.Dead.N
}

// DeadLetterAccount counts the dead letters of one subscription that are events, or those
// that are not. Each record that was ever stored is counted in exactly one field.
type DeadLetterAccount struct {
	Subscription string // empty: the main queue's

	// Unreadable letters are not events. The delivery log has no record of them. An event's
	// letter has the record of a notification, which is dead.
	Unreadable bool

	Waiting   Backlog // by Since
	Replayed  int     // they stay counted after DeadLetterRetention
	Discarded int     // as Replayed
}

// Total returns how many records have been stored.
func (a DeadLetterAccount) Total() int { return a.Waiting.N + a.Replayed + a.Discarded }

// QueueDepth counts the messages in a queue and its consumers.
type QueueDepth struct {
	Ready     int // that no consumer has taken
	Delayed   int // that come again later
	Taken     int // that consumers have taken and not finished: of all processes if the broker knows them, otherwise of this one
	Hidden    int // what other processes' consumers may have taken at most, where Taken does not count that
	Consumers int // calls of Consume or Drain, as Taken

	// Oldest is when the event of the first ready message happened, or when the first dead
	// letter was set aside. Zero: none is ready, or the broker does not tell.
	Oldest time.Time
}

// Total returns how many messages the queue has.
func (d QueueDepth) Total() int { return d.Ready + d.Delayed + d.Taken }

// Opening says from which event on a recipient gets the events of a channel. Recipients
// that are added later get none of the earlier ones.
type Opening struct {
	Channel   string
	Recipient string
	At        time.Time // when it was added: UTC, to the millisecond; zero: before accounts were kept
	Before    int       // events that were published before, and not to this recipient
	Uncertain int       // how much Before may be wrong by, because events were under way
}

// Holder is who holds a claim.
type Holder struct {
	Process string    // as the adapter names the process
	Until   time.Time // when the claim ends at the latest: UTC, to the millisecond
}
