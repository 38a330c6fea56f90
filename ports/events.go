package ports

import (
	"context"

	"example.com/orderflow/domain"
)

// EventPublisher hands events to a broker.
type EventPublisher interface {
	// Publish returns one error for each event, in their order: nil once the
	// broker has promised to keep the event and to hand it to the consumers. An
	// event's error names the event's id and says nothing of the others.
	//
	// ErrUnavailable is returned when the broker can't be reached, takes nothing
	// at the moment, or did not answer. The event may be kept or not: publish it
	// again. Consumers recognise a repeat by the event's id.
	//
	// Any other error refuses the event, which was not published: consumers
	// could not read it. Its type is unknown to the domain, its id is not its
	// order's, or its time is missing. The error names the event's type, too.
	Publish(ctx context.Context, events ...domain.Event) []error
}

// EventConsumer takes events from a broker's queue. Several consumers of one
// queue share its events between them.
type EventConsumer interface {
	// Consume hands events to handle until ctx ends, then begins no more, waits
	// for the handlers in hand, and returns nil. It hands over several at once,
	// but never two of one order; two consumers of one queue may. What it had
	// taken and not handed over goes back to the queue, as the same attempt.
	//
	// A broker that goes away is waited for, not an error; what was in hand
	// then is handed over again. An error means that consuming can't go on, or
	// never could: handle is nil, a queue is there with other properties, or
	// ErrRefused before it has worked.
	Consume(ctx context.Context, handle Handler) error
}

// Handler handles one delivery. Its context outlives the one that was given to
// Consume, so that what is in hand can be finished, but has a bound of its own.
//
// nil: the event is dealt with and does not come again. An error marked by
// [Permanent], or a panic: the event is set aside as a dead letter. One marked
// by [Postpone]: it comes again after a delay, as the same attempt. Any other
// error: it comes again after a delay, which grows from one attempt to the
// next, without holding up other orders' events; after the last attempt it
// becomes a dead letter.
//
// Once the context that was given to Consume has ended, a handler has only a
// short time left.
type Handler func(ctx context.Context, delivery Delivery) error

// Delivery is one handing-over of an event.
type Delivery struct {
	Event   domain.Event
	Attempt int // from 1; counts the handler's failures, kept in the broker
}
