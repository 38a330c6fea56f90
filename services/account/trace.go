package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/internal/wiring"
)

// OrderStore has the orders with their outbox: a store's, or those of another process, as
// [RemoteOrderStore] returns it.
type OrderStore interface {
	Get(ctx context.Context, id domain.OrderID) (domain.Order, error)               // see [ports.OrderRepository]
	List(ctx context.Context, query ports.OrderQuery) (ports.OrderPage, error)      // as Get
	Holder(ctx context.Context, id domain.EventID) (holder ports.Holder, err error) // see [ports.Outbox]
}

// Trace is where an order's event is, for each recipient.
type Trace struct {
	OrderID domain.OrderID
	Order   *domain.Order // nil: not known here
	Event   domain.EventID

	Outbox     Place        // Waiting, Published or NotKnown
	Holder     ports.Holder // of an event that waits in the outbox
	Recipients []RecipientTrace
	Letters    []ports.DeadLetterRecord
}

// RecipientTrace is where the event is for one recipient.
type RecipientTrace struct {
	Channel      string
	Recipient    string
	Place        Place
	Notification *domain.Notification    // nil: none is recorded
	Pause        *ports.Pause            // that holds it
	Holder       ports.Holder            // who has claimed it; zero: nobody
	Letter       *ports.DeadLetterRecord // of the event in this channel
	Queue        *ports.QueueDepth       // if the event may be in it
	Unknown      string                  // why the place is not known; without secrets
	Opened       time.Time               // when the recipient was added, if it gets no earlier events
}

// Place is where an event or a notification is.
type Place string

const (
	Waiting   Place = "waiting"   // in the outbox
	Published Place = "published" // to the broker
	NotKnown  Place = "not known" // another process keeps the orders, or the broker does not answer

	Queued   Place = "queued"    // in the channel's queue; nobody has claimed its notification
	InHand   Place = "in hand"   // a process has claimed its notification, which is not recorded yet
	SetAside Place = "set aside" // its event is a dead letter, and no notification is recorded
	Earlier  Place = "earlier"   // the recipient was added later
	Missing  Place = "missing"   // it is nowhere: the queue is empty
	Recorded Place = "recorded"  // its notification has a state
)

// Trace finds the order's event. ErrNotFound is returned when nobody knows the order. The
// store is nil if another process keeps the orders. If it does not have this order, another
// store may have it. An office without a delivery log only looks into the outbox.
func (o *Office) Trace(ctx context.Context, orders OrderStore, id domain.OrderID) (Trace, error) {
	t, err := o.trace(ctx, orders, id)
	if err != nil {
		return t, fmt.Errorf("trace order %s: %w", id, err)
	}
	isKnown := func(r RecipientTrace) bool { return r.Notification != nil || r.Holder != (ports.Holder{}) }
	if t.Order == nil && len(t.Letters) == 0 && !slices.ContainsFunc(t.Recipients, isKnown) {
		where := "in the store"
		if orders == nil {
			where = "in the delivery log and among the dead letters; the order service knows whether there is such an order"
		}
		return t, fmt.Errorf("trace order %s: %w %s", id, ports.ErrNotFound, where)
	}
	return t, nil
}

// TraceWithin is Trace with a bound for the question to the store, which another process may
// have to answer. If it does not answer, the trace has what is known without it, and away
// says why.
func (o *Office) TraceWithin(ctx context.Context, bound time.Duration, orders OrderStore, id domain.OrderID) (t Trace, away, err error) {
	if orders != nil {
		asking, cancel := context.WithTimeout(ctx, bound)
		defer cancel()
		t, err = o.Trace(asking, orders, id)
		if !errors.Is(err, ports.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
			return t, nil, err
		}
		away = err
	}
	t, err = o.Trace(ctx, nil, id)
	return t, away, err
}

func (o *Office) trace(ctx context.Context, orders OrderStore, id domain.OrderID) (Trace, error) {
	t := Trace{OrderID: id, Event: domain.Order{ID: id}.Created().ID, Outbox: NotKnown}
	if orders != nil {
		if err := t.findOrder(ctx, orders); err != nil {
			return t, err
		}
	}
	if wiring.IsNil(o.parts.Deliveries) {
		return t, nil
	}
	err := o.traceNotifications(ctx, &t)
	if err == nil && slices.ContainsFunc(t.Recipients, func(r RecipientTrace) bool { return r.Place == Missing }) {
		err = o.traceNotifications(ctx, &t) // what was in the queue is recorded now, if it was handled meanwhile
	}
	return t, err
}

// findOrder looks for the order and its event, if this is the store that keeps the orders,
// and may be read.
func (t *Trace) findOrder(ctx context.Context, orders OrderStore) error {
	order, err := orders.Get(ctx, t.OrderID)
	switch {
	case errors.Is(err, ports.ErrNotFound), errors.Is(err, ports.ErrRefused):
		return nil
	case err != nil:
		return err
	}
	t.Order, t.Outbox = &order, Waiting
	if t.Holder, err = orders.Holder(ctx, t.Event); errors.Is(err, ports.ErrNotFound) {
		t.Outbox, err = Published, nil
	}
	return err
}

func (o *Office) traceNotifications(ctx context.Context, t *Trace) error {
	t.Recipients = nil
	letters, err := o.parts.DeadLetters.List(ctx, ports.DeadLetterQuery{OrderID: t.OrderID, Limit: ports.MaxListLimit})
	if err != nil {
		return err
	}
	t.Letters = letters.Records
	list, err := o.parts.Deliveries.List(ctx, ports.NotificationQuery{OrderID: t.OrderID, Limit: ports.MaxListLimit})
	if err != nil {
		return err
	}
	pauses, err := o.parts.States.Pauses(ctx)
	if err != nil {
		return err
	}
	openings, err := o.parts.States.Openings(ctx)
	if err != nil {
		return err
	}
	byKey := make(map[recipient]*RecipientTrace)
	for _, n := range list.Notifications {
		r := &RecipientTrace{Channel: n.Channel, Recipient: n.Recipient, Place: Recorded, Notification: &n}
		if i := slices.IndexFunc(pauses, func(p ports.Pause) bool { return n.State == domain.Held && p.PauseKey == n.HeldBy }); i >= 0 {
			r.Pause = &pauses[i]
		}
		byKey[recipient{n.Channel, n.Recipient}] = r
	}
	for _, channel := range o.parts.Channels {
		for _, name := range channel.Recipients {
			key := recipient{channel.Name, name}
			if byKey[key] == nil {
				byKey[key] = &RecipientTrace{Channel: channel.Name, Recipient: name}
			}
		}
	}
	for _, r := range byKey {
		if err := o.place(ctx, t, r, openings); err != nil {
			return err
		}
		t.Recipients = append(t.Recipients, *r)
	}
	slices.SortFunc(t.Recipients, func(a, b RecipientTrace) int {
		return cmp.Or(strings.Compare(a.Channel, b.Channel), strings.Compare(a.Recipient, b.Recipient))
	})
	return nil
}

// place finds where the recipient's notification is.
func (o *Office) place(ctx context.Context, t *Trace, r *RecipientTrace, openings []ports.Opening) (err error) {
	key := domain.NotificationKey{EventID: t.Event, Channel: r.Channel, Recipient: r.Recipient}
	if r.Notification == nil || r.Notification.State.Waits() || r.Notification.State == domain.Dead {
		if r.Holder, err = o.parts.Deliveries.Holder(ctx, key); err != nil {
			return err
		}
	}
	letter := strings.TrimSuffix(string(t.Event)+"."+o.subscription(r.Channel), ".")
	if i := slices.IndexFunc(t.Letters, func(l ports.DeadLetterRecord) bool { return l.ID == letter }); i >= 0 {
		r.Letter = &t.Letters[i]
	}
	if r.Notification != nil {
		return nil
	}
	opening := slices.IndexFunc(openings, func(o ports.Opening) bool {
		return o.Channel == r.Channel && o.Recipient == r.Recipient && o.Before > 0
	})
	switch {
	case t.Outbox == Waiting:
		r.Place = Waiting
		return nil
	case r.Holder != (ports.Holder{}):
		r.Place = InHand
		return nil
	case r.Letter != nil && r.Letter.State != ports.Replayed:
		r.Place = SetAside
		return nil
	}
	r.Place = Queued
	for _, channel := range o.parts.Channels {
		if channel.Name != r.Channel {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, partTimeout)
		depth, err := channel.Queue.Depth(asking)
		cancel()
		switch {
		case errors.Is(err, ports.ErrNotFound):
			r.Place = Missing
		case ctx.Err() != nil:
			return err
		case err != nil:
			r.Place, r.Unknown = NotKnown, mask.Error(err).Error()
		default:
			if r.Queue = &depth; depth.Total()+depth.Hidden == 0 {
				r.Place = Missing
			}
		}
	}
	if r.Place == Missing && opening >= 0 && (t.Order == nil || t.Order.CreatedAt.Before(openings[opening].At)) {
		r.Place, r.Opened = Earlier, openings[opening].At
	}
	return nil
}

// Delivered reports whether the notification needs nothing more: it is sent, or nobody wants
// it.
func (r RecipientTrace) Delivered() bool {
	return r.Place == Earlier || r.Notification != nil && (r.Notification.State == domain.Sent || r.Notification.State == domain.Skipped)
}
