package ports

import (
	"context"

	"example.com/orderflow/domain"
)

// EventPublisher hands events to a broker.
type EventPublisher interface {
	// Publish returns one error for each event, in the events' order, and none
	// for no events. An error is nil once the broker has promised to keep the
	// event and to hand it to the consumers. It says nothing about the call's
	// other events, and names the event's id.
	//
	// ErrUnavailable is returned when the broker can't be reached, takes nothing
	// at the moment, or did not answer. The event may be kept or not: publish it
	// again. Consumers recognise a repeat by the event's id.
	//
	// Any other error is returned when Publish refuses the event, because
	// consumers could not read it: its type is unknown to the domain, its id does
	// not belong to its order, or its time is missing. The event is not
	// published. The error names its type, too.
	//
	// The caller keeps the slice.
	Publish(ctx context.Context, events ...domain.Event) []error
}

// EventConsumer takes events from a broker's queue. Consumers of one queue share
// its events.
type EventConsumer interface {
	// Consume hands events to handle until ctx ends. Then it starts no more
	// handlers, waits for those that run, and returns nil. It runs several
	// handlers at once, but never two for one order; two consumers of one queue
	// may. Events that it took and did not hand over return to the queue, as the
	// same attempt.
	//
	// While the broker is unavailable, Consume waits for it; events that were
	// being handled come again. An error is returned when consuming can't go on:
	// handle is nil, the queue exists with other properties, or the broker refuses
	// the login or a right at the start (ErrRefused).
	Consume(ctx context.Context, handle Handler) error
}

// EventQueue is one queue of events, with its consumers. Each subscription has its own
// queue, which gets every event once a consumer has connected for the first time: Ping
// returns nil during Consume when one has. What happens to an event in one queue changes
// nothing in another.
type EventQueue interface {
	EventConsumer
	Pinger

	// Depth counts the events in the queue, and its consumers. It creates no queue.
	//
	// ErrNotFound is returned when the queue does not exist.
	Depth(ctx context.Context) (QueueDepth, error)
}

// Handler handles one delivery. The error that it returns decides what becomes
// of the event:
//
//   - nil: the event is done and does not come again.
//   - An error marked by [Permanent], or a panic: the event becomes a dead letter.
//   - An error marked by [Postpone]: the event comes again after a delay, as the
//     same attempt.
//   - Any other error: the event comes again after a delay, as the next attempt.
//     The delays grow, and hold up no other order's events. After the last
//     attempt the event becomes a dead letter.
//
// The handler's context has its own timeout. It outlives Consume's context, but
// the handler then has only a short time left.
type Handler func(ctx context.Context, delivery Delivery) error

// Delivery is an event that a consumer hands to its handler.
type Delivery struct {
	Event   domain.Event
	Attempt int // from 1; the broker counts the handler's failures
}
