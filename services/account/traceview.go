package account

import (
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
)

// TraceView is a trace as JSON shows it. Times are RFC 3339, in UTC.
type TraceView struct {
	OrderID    domain.OrderID       `json:"order_id"`
	CreatedAt  string               `json:"created_at,omitempty"`
	EventID    domain.EventID       `json:"event_id"`
	Event      Place                `json:"event"`
	Holder     *HolderView          `json:"claimed,omitempty"`
	Recipients []RecipientTraceView `json:"recipients"`
}

// HolderView is who holds a claim.
type HolderView struct {
	Process string `json:"process,omitempty"` // empty: nobody; it is free from Until on
	Until   string `json:"until"`
}

// RecipientTraceView is where the event is for one recipient.
type RecipientTraceView struct {
	Channel   string                   `json:"channel"`
	Recipient string                   `json:"recipient,omitempty"`
	Place     Place                    `json:"place"`
	State     domain.NotificationState `json:"state,omitempty"`
	At        string                   `json:"at,omitempty"`
	Attempts  int                      `json:"attempts,omitempty"`
	NextTry   string                   `json:"next_try,omitempty"`
	Reason    string                   `json:"reason,omitempty"`
	HeldBy    *HeldByView              `json:"held_by,omitempty"`
	Holder    *HolderView              `json:"claimed,omitempty"`
	Letter    *LetterTraceView         `json:"dead_letter,omitempty"`
	Opened    string                   `json:"opened,omitempty"`
	Unknown   string                   `json:"unknown,omitempty"` // why the place is not known
}

// HeldByView is the pause that holds a notification.
type HeldByView struct {
	Channel  string `json:"channel"`
	Receiver string `json:"receiver,omitempty"` // empty: the whole channel
}

// LetterTraceView is the dead letter of the event in the channel.
type LetterTraceView struct {
	ID        string                `json:"id"`
	State     ports.DeadLetterState `json:"state"`
	Since     string                `json:"since"`
	SettledAt string                `json:"settled_at,omitempty"`
	SettledBy string                `json:"settled_by,omitempty"`
	Reason    string                `json:"reason,omitempty"`
}

// NewTraceView returns the view of the trace.
func NewTraceView(t Trace) TraceView {
	v := TraceView{OrderID: t.OrderID, EventID: t.Event, Event: t.Outbox, Holder: holderView(t.Holder), Recipients: []RecipientTraceView{}}
	if t.Order != nil {
		v.CreatedAt = httpapi.FormatTime(t.Order.CreatedAt)
	}
	for _, r := range t.Recipients {
		v.Recipients = append(v.Recipients, newRecipientView(r))
	}
	return v
}

func newRecipientView(r RecipientTrace) RecipientTraceView {
	view := RecipientTraceView{Channel: r.Channel, Recipient: r.Recipient, Place: r.Place, Holder: holderView(r.Holder), Opened: timeView(r.Opened), Unknown: r.Unknown}
	if n := r.Notification; n != nil {
		view.State, view.At, view.Attempts, view.NextTry, view.Reason = n.State, httpapi.FormatTime(n.At), n.Attempt, timeView(n.NextTry), n.Reason
		if n.State == domain.Held {
			view.HeldBy = &HeldByView{n.HeldBy.Channel, n.HeldBy.Receiver}
		}
	}
	if l := r.Letter; l != nil {
		view.Letter = &LetterTraceView{l.ID, l.State, httpapi.FormatTime(l.Since), timeView(l.SettledAt), l.SettledBy, l.LatestFailure().Reason}
	}
	return view
}

func holderView(h ports.Holder) *HolderView {
	if h == (ports.Holder{}) {
		return nil
	}
	return &HolderView{h.Process, httpapi.FormatTime(h.Until)}
}

func timeView(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return httpapi.FormatTime(t)
}

// FindingView is a finding of an audit as JSON shows it.
type FindingView struct {
	OrderID   domain.OrderID `json:"order_id"`
	CreatedAt string         `json:"created_at"`
	Cause     string         `json:"cause"` // see [Finding.Reason]
	RecipientTraceView
}

// NewFindingView returns the view of the finding.
func NewFindingView(f Finding) FindingView {
	return FindingView{f.OrderID, httpapi.FormatTime(f.CreatedAt), f.Reason(), newRecipientView(f.RecipientTrace)}
}
