package notification

import (
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/mask"
)

// View is a notification as lists show it, over HTTP and on the command line. Times
// are RFC 3339, in UTC.
type View struct {
	EventID   domain.EventID           `json:"event_id"`
	OrderID   domain.OrderID           `json:"order_id"`
	Channel   string                   `json:"channel"`
	Attempt   int                      `json:"attempt"`
	SentAt    string                   `json:"sent_at,omitempty"` // only if it is sent
	Recipient string                   `json:"recipient,omitempty"`
	UserID    string                   `json:"user_id,omitempty"`
	State     domain.NotificationState `json:"state"`
	Reason    string                   `json:"reason,omitempty"`
	At        string                   `json:"at"`                 // the latest change
	NextTry   string                   `json:"next_try,omitempty"` // empty, too, while it is held until a person resumes its pause
	Receiver  string                   `json:"receiver,omitempty"`
	Attempts  []AttemptView            `json:"attempts"` // the latest last
}

// AttemptView is an attempt to send a notification.
type AttemptView struct {
	At         string         `json:"at"`
	DurationMS int64          `json:"duration_ms"`
	Outcome    domain.Outcome `json:"outcome"`
	Code       string         `json:"code,omitempty"`
	Answer     string         `json:"answer,omitempty"`
}

// NewView returns the view of the notification, for operators.
func NewView(n domain.Notification) View {
	v := View{
		EventID: n.EventID, OrderID: n.OrderID, Channel: n.Channel, Attempt: n.Attempt,
		Recipient: n.Recipient, UserID: n.UserID, State: n.State, Reason: n.Reason,
		At: httpapi.FormatTime(n.At), NextTry: optionalTime(n.NextTry), Receiver: n.Receiver,
		Attempts: make([]AttemptView, len(n.Attempts)),
	}
	if n.State == domain.Sent {
		v.SentAt = v.At
	}
	for i, a := range n.Attempts {
		v.Attempts[i] = newAttemptView(a)
	}
	return v
}

func newAttemptView(a domain.Attempt) AttemptView {
	return AttemptView{httpapi.FormatTime(a.At), a.Duration.Milliseconds(), a.Outcome, a.Code, a.Answer}
}

// newPublicView returns the view for the public. It masks addresses, which receivers may
// repeat in their answers.
func newPublicView(n domain.Notification) View {
	v := NewView(n)
	v.Reason = mask.Text(v.Reason)
	for i, a := range v.Attempts {
		v.Attempts[i].Code, v.Attempts[i].Answer = mask.Text(a.Code), mask.Text(a.Answer)
	}
	return v
}

// UndeliveredView is a notification that has not reached its receiver.
type UndeliveredView struct {
	View
	Pause *PauseView `json:"pause,omitempty"` // that keeps it from being sent
}

// NewUndeliveredView returns the view of the notification.
func NewUndeliveredView(u Undelivered) UndeliveredView {
	v := UndeliveredView{View: NewView(u.Notification)}
	if u.Pause != nil {
		pause := NewPauseView(*u.Pause)
		v.Pause = &pause
	}
	return v
}

// PauseView is a pause of a channel or a receiver.
type PauseView struct {
	Channel      string          `json:"channel"`
	Receiver     string          `json:"receiver,omitempty"` // empty: the whole channel
	Kind         ports.PauseKind `json:"kind"`
	Reason       string          `json:"reason,omitempty"`
	By           string          `json:"by,omitempty"` // empty: the notifier
	Since        string          `json:"since"`
	NextProbe    string          `json:"next_probe,omitempty"`
	FailedProbes int             `json:"failed_probes,omitempty"`
}

// NewPauseView returns the view of the pause.
func NewPauseView(p ports.Pause) PauseView {
	v := PauseView{
		Channel: p.Channel, Receiver: p.Receiver, Kind: p.Kind, Reason: p.Reason, By: p.By, Since: httpapi.FormatTime(p.Since),
	}
	switch {
	case p.Kind == ports.Draining && p.By == "":
		v.Reason = "works again; sends what was held" // the stored reason is over
	case p.Kind == ports.Draining:
		v.Reason = "resumed; sends what was held"
	case p.Kind == ports.Breaker:
		v.NextProbe, v.FailedProbes = optionalTime(p.Probe), p.Probes
	}
	return v
}

// ChannelView is a channel with its pauses.
type ChannelView struct {
	Name       string      `json:"name"`
	Kind       string      `json:"kind,omitempty"` // such as smtp
	Configured bool        `json:"configured"`     // false: some notifier had the channel once
	Pauses     []PauseView `json:"pauses"`         // of the whole channel first, then of receivers
}

// NewChannelView returns the view of the channel.
func NewChannelView(c ChannelStatus) ChannelView {
	v := ChannelView{Name: c.Name, Kind: c.Kind, Configured: c.Configured, Pauses: make([]PauseView, len(c.Pauses))}
	for i, pause := range c.Pauses {
		v.Pauses[i] = NewPauseView(pause)
	}
	return v
}

// ContactView is a user's contact.
type ContactView struct {
	UserID    string            `json:"user_id"`
	Language  string            `json:"language,omitempty"`
	Addresses map[string]string `json:"addresses"` // by channel
	Off       []string          `json:"off"`       // channels that the user does not want
	UpdatedAt string            `json:"updated_at"`
}

// NewContactView returns the view of the contact.
func NewContactView(c ports.Contact) ContactView {
	v := ContactView{
		UserID: c.UserID, Language: c.Language, Addresses: c.Addresses, Off: c.Off,
		UpdatedAt: httpapi.FormatTime(c.UpdatedAt),
	}
	if v.Addresses == nil {
		v.Addresses = map[string]string{}
	}
	if v.Off == nil {
		v.Off = []string{}
	}
	return v
}

// ForgottenView counts what was changed to forget a user.
type ForgottenView struct {
	Contacts      int `json:"contacts"`
	Notifications int `json:"notifications"`
	DeadLetters   int `json:"dead_letters"`
}

// NewForgottenView returns the view of the counts.
func NewForgottenView(f Forgotten) ForgottenView {
	return ForgottenView{f.Contacts, f.Notifications, f.DeadLetters}
}

func optionalTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return httpapi.FormatTime(t)
}
