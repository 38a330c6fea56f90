package ports

import (
	"context"
	"time"

	"example.com/orderflow/domain"
)

// OrderRepository keeps orders.
type OrderRepository interface {
	// Add keeps the order and puts its event into the [Outbox], in one atomic
	// write. Once it returns nil, both are on disk, and the caller holds the
	// claim on the event, as after Claim. The event has the origin, without the
	// fields that break a rule.
	//
	// ErrExists is returned when an order with that id is kept; that order stays
	// as it is. ErrUnavailable is returned when the order may be kept or not; Add
	// it again to find out. An error marked by [Permanent] is returned when the
	// repository can't keep this order.
	Add(ctx context.Context, order domain.Order, origin domain.Origin) error

	// Get returns the order with that id, with every field as it was added.
	//
	// ErrNotFound is returned when no order has that id, [*UnreadableError] when
	// its record can't be read.
	Get(ctx context.Context, id domain.OrderID) (domain.Order, error)

	// List returns one page of the orders that query asks for, newest first: by
	// CreatedAt, then by id, both descending. A caller that follows the cursors
	// gets every order that was kept at the start exactly once, even while others
	// are added.
	//
	// List skips records that it can't read, logs their ids, and counts them.
	//
	// ErrInvalidCursor is returned when query.Cursor is not the NextCursor of a page
	// with the same UserID, CreatedFrom and CreatedTo.
	List(ctx context.Context, query OrderQuery) (OrderPage, error)
}

// OrderQuery selects a page of orders.
type OrderQuery struct {
	UserID      string    // orders of this user; empty: of all users
	CreatedFrom time.Time // CreatedAt is not before it; zero: no bound
	CreatedTo   time.Time // CreatedAt is before it; zero: no bound
	Limit       int       // the page's size, from 1 to MaxListLimit; List replaces other values by the nearer bound
	Cursor      string    // NextCursor of the page before; empty: the first page
}

// MaxListLimit is the largest page that List returns.
const MaxListLimit = 1000

// OrderPage is one page of orders.
type OrderPage struct {
	Orders     []domain.Order
	NextCursor string // opaque; empty on the last page
	Unreadable int    // records that List skipped
}

// Outbox keeps events until they are marked as published. So no event is lost
// between the write of its order and the broker's promise to keep it.
//
// An event in the outbox is claimed or free. A claim ends after the adapter's
// lease, so the events that a crashed process had claimed are free again. An
// adapter may end a claim earlier, when the process that holds it has ended.
type Outbox interface {
	// Claim claims up to limit free events and returns them, those that have been
	// free for longest first. Until a claim ends, no other call of Claim, in
	// any process, returns its event. The result is empty if no event is free or
	// the limit is below 1.
	Claim(ctx context.Context, limit int) ([]domain.Event, error)

	// MarkPublished removes the events from the outbox, claimed or not. It
	// ignores ids that are not in the outbox, so it may be repeated.
	MarkPublished(ctx context.Context, ids ...domain.EventID) error

	// Release gives up the claims on the events. They stay in the outbox and are
	// free from the time at on, but not later than MaxReleaseDelay from now.
	//
	// Release events with a past time if the caller does not publish them. Release
	// events with a later time if the broker refuses them, so that they don't come
	// first in each Claim. Release ignores ids that are not in the outbox.
	Release(ctx context.Context, at time.Time, ids ...domain.EventID) error

	// ClaimLease returns how long a claim lasts.
	ClaimLease() time.Duration

	// Holder returns who has claimed the event. It is zero if the event is free.
	//
	// ErrNotFound is returned when the event is not in the outbox.
	Holder(ctx context.Context, id domain.EventID) (Holder, error)

	// Account counts the orders, and their events by where they are, all at one moment. Its
	// cost may grow with the number of events in the outbox, but not of orders.
	Account(ctx context.Context) (OutboxAccount, error)
}

// MaxReleaseDelay is how far ahead Release can set the time. If a claim ends later
// than MaxReleaseDelay plus a lease from now, a wrong clock made it, and its event
// is free.
const MaxReleaseDelay = time.Minute
