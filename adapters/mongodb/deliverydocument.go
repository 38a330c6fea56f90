package mongodb

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/internal/records"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// deliveryID must keep the order of its fields, because the server compares it
// byte by byte. Notifications without a recipient have the id of earlier versions.
// The event's id comes first, so that an order's notifications are a range of ids.
type deliveryID struct {
	EventID   string `bson:"event_id"`
	Channel   string `bson:"channel"`
	Recipient string `bson:"recipient,omitempty"`
}

func idOfKey(key domain.NotificationKey) deliveryID {
	return deliveryID{EventID: string(key.EventID), Channel: key.Channel, Recipient: key.Recipient}
}

func (id deliveryID) key() string { return id.EventID + " " + id.Channel + " " + id.Recipient }

func (id deliveryID) String() string {
	return strings.TrimSpace("event " + id.EventID + " by " + id.Channel + " " + id.Recipient)
}

// deliveryDocument is the record of a notification.
//
// Earlier versions recorded only sent notifications, without user, first and attempts.
// The records of all others have no attempt, so that earlier versions can't read them,
// and take none of them for sent.
type deliveryDocument struct {
	ID       deliveryID        `bson:"_id"`
	OrderID  string            `bson:"order_id"`
	UserID   string            `bson:"user_id,omitempty"`
	Attempt  int               `bson:"attempt,omitempty"` // once it is sent
	SentAt   time.Time         `bson:"sent_at"`           // when it was sent; otherwise of the latest change
	First    time.Time         `bson:"first,omitempty"`
	Receiver string            `bson:"receiver,omitempty"`
	Late     string            `bson:"late,omitempty"` // see [counter]
	Was      string            `bson:"was,omitempty"`  // the state that was counted before this one
	Attempts []attemptDocument `bson:"attempts,omitempty"`

	// Unless it is sent.
	State  string        `bson:"state,omitempty"`
	Reason string        `bson:"reason,omitempty"`
	Tries  int           `bson:"tries,omitempty"` // as Attempt
	Wait   *waitDocument `bson:"wait,omitempty"`  // while it waits
}

type attemptDocument struct {
	At           time.Time `bson:"at"`
	Milliseconds int64     `bson:"ms"`
	Outcome      string    `bson:"outcome"`
	Code         string    `bson:"code,omitempty"`
	Answer       string    `bson:"answer,omitempty"`
}

type waitDocument struct {
	Channel string        `bson:"channel"` // as in the id
	NextTry time.Time     `bson:"next_try"`
	HeldBy  *pauseID      `bson:"held_by,omitempty"`
	Event   eventDocument `bson:"event"`
}

// eventDocument is the event of a notification that waits. Its id and its order's id
// are in the record.
type eventDocument struct {
	Type      string    `bson:"type"`
	Time      time.Time `bson:"time"`
	UserID    string    `bson:"user_id"`
	Product   string    `bson:"product"`
	Quantity  int       `bson:"quantity"`
	CreatedAt time.Time `bson:"created_at"`

	Origin *originDocument `bson:"origin,omitempty"`
}

func newDeliveryDocument(id deliveryID, n domain.Notification, event domain.Event) deliveryDocument {
	d := deliveryDocument{
		ID: id, OrderID: string(n.OrderID), UserID: n.UserID, SentAt: n.At, First: n.First, Receiver: records.ValidText(n.Receiver),
	}
	attempts := n.Attempts[max(len(n.Attempts)-domain.MaxAttempts, 0):]
	for _, a := range attempts {
		d.Attempts = append(d.Attempts, attemptDocument{
			At: a.At, Milliseconds: a.Duration.Milliseconds(), Outcome: string(a.Outcome),
			Code: records.ValidText(a.Code), Answer: records.CutText(a.Answer, domain.MaxAnswer),
		})
	}
	if n.State == domain.Sent {
		d.Attempt = n.Attempt
		return d
	}
	d.State, d.Reason, d.Tries = string(n.State), records.ValidText(n.Reason), n.Attempt
	if !n.State.Waits() {
		return d
	}
	d.Wait = &waitDocument{Channel: id.Channel, NextTry: n.NextTry, Event: eventDocument{
		Type: string(event.Type), Time: event.Time,
		UserID: event.Order.UserID, Product: event.Order.Product, Quantity: event.Order.Quantity, CreatedAt: event.Order.CreatedAt,
		Origin: newOriginDocument(event.Origin),
	}}
	if n.State == domain.Held {
		d.Wait.HeldBy = &pauseID{n.HeldBy.Channel, n.HeldBy.Receiver}
	}
	return d
}

func readNotification(document bson.Raw) (domain.Notification, error) {
	r := reader{doc: document}
	id := subdocument(&r, "_id")
	n := domain.Notification{
		EventID:   domain.EventID(field(id, "event_id", bson.RawValue.StringValueOK)),
		OrderID:   domain.OrderID(field(&r, "order_id", bson.RawValue.StringValueOK)),
		Channel:   field(id, "channel", bson.RawValue.StringValueOK),
		Recipient: optional(id, "recipient", bson.RawValue.StringValueOK),
		UserID:    optional(&r, "user_id", bson.RawValue.StringValueOK),
		State:     domain.NotificationState(cmp.Or(optional(&r, "state", bson.RawValue.StringValueOK), string(domain.Sent))),
		Reason:    optional(&r, "reason", bson.RawValue.StringValueOK),
		Receiver:  optional(&r, "receiver", bson.RawValue.StringValueOK),
	}
	switch {
	case n.State == domain.Sent:
		if n.Attempt = field(&r, "attempt", integer); n.Attempt < 1 {
			r.fail("attempt", "must be at least 1")
		}
	case !slices.Contains(domain.NotificationStates, n.State):
		r.fail("state", "is not a state of a notification")
	default:
		n.Attempt = optional(&r, "tries", integer)
	}
	n.At = date(&r, "sent_at")
	n.First = optionalDate(&r, "first")
	if has(document, "attempts") {
		n.Attempts = elements(&r, "attempts", readAttempt)
	}
	if n.State.Waits() {
		wait := subdocument(&r, "wait")
		n.NextTry = date(wait, "next_try")
		if n.State == domain.Held {
			by := subdocument(wait, "held_by")
			n.HeldBy.Channel = field(by, "channel", bson.RawValue.StringValueOK)
			n.HeldBy.Receiver = field(by, "receiver", bson.RawValue.StringValueOK)
			wait.err = by.err
		}
		r.err = wait.err
	}
	if err := cmp.Or(id.err, r.err); err != nil {
		return domain.Notification{}, unreadable(document, err)
	}
	return n, nil
}

func readAttempt(r *reader) domain.Attempt {
	return domain.Attempt{
		At:       date(r, "at"),
		Duration: time.Duration(field(r, "ms", integer)) * time.Millisecond,
		Outcome:  domain.Outcome(field(r, "outcome", bson.RawValue.StringValueOK)),
		Code:     optional(r, "code", bson.RawValue.StringValueOK),
		Answer:   optional(r, "answer", bson.RawValue.StringValueOK),
	}
}

// readWaiting reads a record that waits, with its event.
func readWaiting(document bson.Raw) (ports.WaitingDelivery, error) {
	n, err := readNotification(document)
	if err != nil {
		return ports.WaitingDelivery{}, err
	}
	r := reader{doc: document}
	wait := subdocument(&r, "wait")
	e := subdocument(wait, "event")
	e.within = "event."
	event := domain.Event{
		ID:   n.EventID,
		Type: domain.EventType(field(e, "type", bson.RawValue.StringValueOK)),
		Time: date(e, "time"),
		Order: domain.Order{
			ID:        n.OrderID,
			UserID:    field(e, "user_id", bson.RawValue.StringValueOK),
			Product:   field(e, "product", bson.RawValue.StringValueOK),
			Quantity:  field(e, "quantity", integer),
			CreatedAt: date(e, "created_at"),
		},
		Origin: readOrigin(e.doc.Lookup("origin")),
	}
	if e.err != nil {
		return ports.WaitingDelivery{}, unreadable(document, e.err)
	}
	return ports.WaitingDelivery{Notification: n, Event: event}, nil
}
