package ports

import (
	"context"
	"time"

	"example.com/orderflow/domain"
)

// OrderRepository keeps orders.
type OrderRepository interface {
	// Add keeps the order and, in the same atomic write, its event as one not
	// known to be published (see [Outbox]). When it returns nil both are on
	// disk. The caller then holds the claim on the event, as if by Claim.
	//
	// ErrExists: an order with that id is kept, and stays as it is.
	// ErrUnavailable: the order may be kept or not; Add with the same id
	// settles it. An error marked by [Permanent] says that the repository can't
	// keep this order.
	Add(ctx context.Context, order domain.Order) error

	// Get returns the order with that id, with every field as it was added.
	//
	// ErrNotFound: there is none. [*UnreadableError]: its record can't be read.
	Get(ctx context.Context, id domain.OrderID) (domain.Order, error)

	// List returns one page of the orders that query asks for, newest first:
	// by CreatedAt, then by id, both descending. Following the cursors visits
	// every order that was there at the start exactly once, whatever is added
	// meanwhile.
	//
	// A record that can't be read is passed over, logged with its id, and
	// counted.
	//
	// ErrInvalidCursor: query.Cursor is none of this repository's.
	List(ctx context.Context, query OrderQuery) (OrderPage, error)
}

// OrderQuery asks for orders.
type OrderQuery struct {
	UserID string // only this user's; empty: everybody's
	Limit  int    // at most so many, from 1 to MaxListLimit; outside of it: the nearer end
	Cursor string // where the page before ended, its NextCursor; empty: from the newest
}

// MaxListLimit is the largest page that List returns.
const MaxListLimit = 1000

// OrderPage is one page of orders.
type OrderPage struct {
	Orders     []domain.Order
	NextCursor string // opaque; empty on the last page
	Unreadable int    // how many records were passed over
}

// Outbox keeps the events that are not known to be published, so that none is
// lost between the write of an order and the broker's promise.
//
// An event in it is claimed or free. A claim runs out after a time that the
// adapter sets, its lease, so that what a crashed process held is free again.
type Outbox interface {
	// Claim claims up to limit free events and returns them; the result is
	// empty if there are none. Until the claim runs out, no other call of Claim,
	// in this process or another, returns them. Those that have been free for
	// longest come first.
	//
	// A limit below 1 claims nothing.
	Claim(ctx context.Context, limit int) ([]domain.Event, error)

	// MarkPublished takes the events out of the outbox for good, claimed or
	// not. It passes over ids it does not know, so it may be repeated.
	MarkPublished(ctx context.Context, ids ...domain.EventID) error

	// Release gives up the claims on the events. They stay in the outbox and are
	// free from the given time on, at the latest after MaxPostponement. A time in
	// the past frees them at once: the caller is not going to publish them. A
	// later time keeps events that the broker refuses from coming first each time.
	// Release passes over ids that are not in the outbox.
	Release(ctx context.Context, at time.Time, ids ...domain.EventID) error

	// ClaimLease returns how long a claim lasts.
	ClaimLease() time.Duration
}

// MaxPostponement is how far ahead Release can set the time. A claim that ends
// later than this and the outbox's lease after now is nobody's: the clock by
// which it was made was wrong, or has been set back since.
const MaxPostponement = time.Minute
