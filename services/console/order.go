package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/notification"
)

// WayView is an order's way, and where it is now.
type WayView struct {
	Order         *OrderView          `json:"order"` // null: not known here
	OrdersKnown   bool                `json:"orders_known"`
	Trace         account.TraceView   `json:"trace"`
	Timeline      []StepView          `json:"timeline"` // oldest first
	Notifications []notification.View `json:"notifications"`
	Letters       []LetterView        `json:"letters"`
	Faults        []account.FaultView `json:"faults,omitempty"` // parts that did not answer
}

// OrderView is an order. Only its id is known where nobody knows the orders.
type OrderView struct {
	OrderID   domain.OrderID `json:"order_id"`
	UserID    string         `json:"user_id,omitempty"`
	Product   string         `json:"product,omitempty"`
	Quantity  int            `json:"quantity,omitempty"`
	CreatedAt string         `json:"created_at,omitempty"`
}

// LetterView is a dead letter of the order.
type LetterView struct {
	ID      string                `json:"id"`
	Channel string                `json:"channel"`
	State   ports.DeadLetterState `json:"state"`
	Reason  string                `json:"reason"`
}

func newOrderView(o domain.Order) OrderView {
	return OrderView{o.ID, o.UserID, o.Product, o.Quantity, httpapi.FormatTime(o.CreatedAt)}
}

func (c *Console) order(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, c.RequestTimeout)
	defer cancel()
	id, err := domain.ParseOrderID(r.PathValue("id"))
	if err != nil {
		return httpapi.Invalid(domain.FieldError{Field: "id", Reason: "must be an order's id: a UUID with hyphens"})
	}
	way, err := c.way(ctx, id)
	if err != nil {
		return problem(err)
	}
	return httpapi.WriteJSON(w, http.StatusOK, way)
}

const maxNotifications = 200 // of an order: one for each channel and recipient

// ordersTimeout bounds a question about an order. Another process may have to answer it.
const ordersTimeout = 2 * time.Second

func (c *Console) way(ctx context.Context, id domain.OrderID) (WayView, error) {
	trace, away, err := c.parts.Office.TraceWithin(ctx, ordersTimeout, c.parts.Orders, id)
	if err != nil {
		return WayView{}, err
	}
	page, err := c.parts.Control.Notifications(ctx, ports.NotificationQuery{OrderID: id, Limit: maxNotifications})
	if err != nil {
		return WayView{}, err
	}
	way := WayView{
		OrdersKnown: c.parts.Orders != nil, Trace: account.NewTraceView(trace),
		Notifications: []notification.View{}, Letters: []LetterView{},
	}
	if away != nil {
		way.Faults = []account.FaultView{{Part: "orders", Error: mask.Error(away).Error()}}
	}
	if trace.Order != nil {
		order := newOrderView(*trace.Order)
		way.Order = &order
	}
	for _, n := range page.Notifications {
		way.Notifications = append(way.Notifications, notification.NewView(n))
	}
	for _, letter := range trace.Letters {
		way.Letters = append(way.Letters, LetterView{letter.ID, c.parts.Office.ChannelOf(letter.Subscription), letter.State, letter.LatestFailure().Reason})
	}
	way.Timeline = timeline(trace, page.Notifications, c.parts.Office.ChannelOf)
	return way, nil
}

// StepView is a step of an order's way.
type StepView struct {
	At           string   `json:"at"` // empty: not known
	Kind         StepKind `json:"kind"`
	Channel      string   `json:"channel,omitempty"`
	Recipient    string   `json:"recipient,omitempty"`
	Attempt      int      `json:"attempt,omitempty"` // missing: it does not count
	Outcome      string   `json:"outcome,omitempty"` // of an attempt; or the new state
	DurationMS   *int64   `json:"duration_ms,omitempty"`
	Code         string   `json:"code,omitempty"`
	Answer       string   `json:"answer,omitempty"`
	Text         string   `json:"text,omitempty"`
	NextTry      string   `json:"next_try,omitempty"`
	DeadLetterID string   `json:"dead_letter_id,omitempty"`

	order time.Time // among the others
}

// StepKind says what happened.
type StepKind string

const (
	Placed     StepKind = "placed"
	Stored     StepKind = "stored"
	Published  StepKind = "published"
	Attempt    StepKind = "attempt"
	State      StepKind = "state"       // what became of a notification until now
	DeadLetter StepKind = "dead_letter" // the event was set aside
	Settled    StepKind = "settled"     // somebody has decided about the dead letter
)

// timeline returns the steps, oldest first. channelOf names the channel of a subscription.
func timeline(trace account.Trace, notifications []domain.Notification, channelOf func(string) string) []StepView {
	steps := []StepView{}
	add := func(at time.Time, step StepView) {
		if step.order = at; step.At == "" && !at.IsZero() {
			step.At = httpapi.FormatTime(at)
		}
		steps = append(steps, step)
	}
	if trace.Order != nil {
		add(trace.Order.CreatedAt, StepView{Kind: Placed, Text: "user " + trace.Order.UserID})
		add(time.Time{}, StepView{Kind: Stored, Text: "the order is on disk, with its event"})
	}
	switch trace.Outbox {
	case account.Published:
		add(time.Time{}, StepView{Kind: Published, Text: "the broker has the event"})
	case account.Waiting:
		add(time.Time{}, StepView{Kind: State, Outcome: string(account.Waiting), Text: "the event waits in the outbox"})
	}
	fixed := len(steps)
	for _, n := range notifications {
		number := n.Attempt // attempts before a replay have no number
		for _, a := range slices.Backward(n.Attempts) {
			took := a.Duration.Milliseconds()
			step := StepView{
				Kind: Attempt, Channel: n.Channel, Recipient: n.Recipient,
				Outcome: string(a.Outcome), DurationMS: &took, Code: a.Code, Answer: a.Answer,
			}
			if a.Outcome != domain.Unreachable && number > 0 {
				step.Attempt = number
				number--
			}
			add(a.At, step)
		}
		step := StepView{Kind: State, Channel: n.Channel, Recipient: n.Recipient, Outcome: string(n.State), Text: n.Reason}
		if !n.NextTry.IsZero() {
			step.NextTry = httpapi.FormatTime(n.NextTry)
		}
		add(n.At, step)
	}
	for _, letter := range trace.Letters {
		channel := channelOf(letter.Subscription)
		for _, f := range letter.Failures {
			add(f.LastFailure, StepView{Kind: DeadLetter, Channel: channel, Attempt: f.Attempts, Text: f.Reason, DeadLetterID: letter.ID})
		}
		if !letter.SettledAt.IsZero() {
			add(letter.SettledAt, StepView{Kind: Settled, Channel: channel, Outcome: string(letter.State), Text: "by " + letter.SettledBy, DeadLetterID: letter.ID})
		}
	}
	slices.SortStableFunc(steps[fixed:], func(a, b StepView) int {
		if n := a.order.Compare(b.order); n != 0 {
			return n
		}
		return rank(a) - rank(b)
	})
	for _, r := range trace.Recipients {
		if r.Place != account.Recorded && r.Place != account.Waiting {
			steps = append(steps, StepView{Kind: State, Channel: r.Channel, Recipient: r.Recipient, Outcome: string(r.Place)})
		}
	}
	return steps
}

// rank orders steps of the same millisecond: an attempt comes before what became of it.
func rank(s StepView) int {
	return slices.Index([]StepKind{Settled, Attempt, State, DeadLetter}, s.Kind)
}

// problem returns the answer to an error of a question. It returns an unknown error
// unchanged; the answer to that is 500.
func problem(err error) error {
	var unreadable *ports.UnreadableError
	switch {
	case errors.As(err, &unreadable):
		return httpapi.Unreadable("the record", unreadable)
	case errors.Is(err, ports.ErrNotFound):
		return &httpapi.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "no order with this id is known here"}
	case errors.Is(err, ports.ErrInvalidCursor):
		return httpapi.Invalid(domain.FieldError{Field: "cursor", Reason: "must be the next_cursor of an earlier page of the same search"})
	case errors.Is(err, ports.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return httpapi.Unavailable("the store, or the process that keeps the orders, does not answer", err)
	}
	return err
}
