package account

import (
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
)

// View is an account as JSON shows it, over HTTP and on the command line. Times are RFC
// 3339, in UTC; ages are in seconds.
type View struct {
	At              string          `json:"at"`
	State           State           `json:"state"`
	Orders          *OrdersView     `json:"orders,omitempty"`
	Recipients      []RecipientView `json:"recipients,omitempty"`
	Queues          []QueueView     `json:"queues,omitempty"`
	Unread          []UnreadView    `json:"unread,omitempty"`
	DeadLetters     []LettersView   `json:"dead_letters,omitempty"`
	DeadLetterQueue *DepthView      `json:"dead_letter_queue,omitempty"`
	Faults          []FaultView     `json:"faults,omitempty"`
}

// BacklogView is what waits.
type BacklogView struct {
	Count      int     `json:"count"`
	Oldest     string  `json:"oldest,omitempty"`
	AgeSeconds float64 `json:"age_seconds,omitempty"` // of the oldest
}

// OrdersView is the order service's part.
type OrdersView struct {
	Orders     int         `json:"orders"`
	Published  int         `json:"published"`
	Waiting    BacklogView `json:"waiting"`
	Difference int         `json:"difference"`
	State      State       `json:"state"`
}

// RecipientView is the account of one channel and recipient.
type RecipientView struct {
	Channel    string      `json:"channel"`
	Recipient  string      `json:"recipient,omitempty"` // empty if the channel has no addresses
	Configured bool        `json:"configured"`
	Opened     string      `json:"opened,omitempty"` // from when on it gets events
	Events     *int        `json:"events,omitempty"` // since then; missing: nobody knows
	Sent       int         `json:"sent"`
	Skipped    int         `json:"skipped"`
	Retrying   BacklogView `json:"retrying"`
	Held       BacklogView `json:"held"`
	Dead       BacklogView `json:"dead"`
	Expired    int         `json:"expired"`
	InQueue    int         `json:"in_queue"`
	Difference int         `json:"difference"`
	State      State       `json:"state"`
}

// DepthView is the content of a queue.
type DepthView struct {
	Ready     BacklogView `json:"ready"`
	Delayed   int         `json:"delayed"`
	Taken     int         `json:"taken"`
	Consumers int         `json:"consumers"`
}

// QueueView is the queue of a channel.
type QueueView struct {
	Channel string `json:"channel"`
	Exists  bool   `json:"exists"`
	DepthView
}

// UnreadView is a queue that nobody reads.
type UnreadView struct {
	Channel string `json:"channel,omitempty"` // empty: the queue of messages that can't be read
	DepthView
}

// LettersView counts the dead letters of a subscription.
type LettersView struct {
	Subscription string      `json:"subscription"`
	Unreadable   bool        `json:"unreadable"` // they are not events
	Waiting      BacklogView `json:"waiting"`
	Replayed     int         `json:"replayed"`
	Discarded    int         `json:"discarded"`
}

// FaultView is a part that did not answer.
type FaultView struct {
	Part  string `json:"part"`
	Error string `json:"error"`
}

// NewView returns the view of the account.
func NewView(a Account) View {
	v := View{At: httpapi.FormatTime(a.At), State: a.State}
	backlog := func(b ports.Backlog) BacklogView {
		view := BacklogView{Count: b.N}
		if !b.Oldest.IsZero() {
			view.Oldest, view.AgeSeconds = httpapi.FormatTime(b.Oldest), max(a.At.Sub(b.Oldest), 0).Round(time.Millisecond).Seconds()
		}
		return view
	}
	depth := func(d ports.QueueDepth) DepthView {
		return DepthView{backlog(ports.Backlog{N: d.Ready, Oldest: d.Oldest}), d.Delayed, d.Taken, d.Consumers}
	}
	if o := a.Orders; o != nil {
		v.Orders = &OrdersView{o.Orders, o.Published, backlog(o.Waiting), o.Difference, o.State}
	}
	for _, r := range a.Recipients {
		view := RecipientView{
			Channel: r.Channel, Recipient: r.DeliveryAccount.Recipient, Configured: r.Configured, Events: r.Events,
			Sent: r.Sent, Skipped: r.Skipped, Retrying: backlog(r.Retrying), Held: backlog(r.Held), Dead: backlog(r.Dead),
			Expired: r.Expired, InQueue: r.InQueue, Difference: r.Difference, State: r.State,
		}
		if !r.Opened.IsZero() {
			view.Opened = httpapi.FormatTime(r.Opened)
		}
		v.Recipients = append(v.Recipients, view)
	}
	for _, q := range a.Queues {
		v.Queues = append(v.Queues, QueueView{q.Channel, !q.Missing, depth(q.QueueDepth)})
	}
	for _, q := range a.Unread {
		v.Unread = append(v.Unread, UnreadView{q.Channel, depth(q.QueueDepth)})
	}
	for _, l := range a.DeadLetters {
		v.DeadLetters = append(v.DeadLetters, LettersView{l.Subscription, l.Unreadable, backlog(l.Waiting), l.Replayed, l.Discarded})
	}
	if a.LetterQueue != nil {
		view := depth(*a.LetterQueue)
		v.DeadLetterQueue = &view
	}
	for _, f := range a.Faults {
		v.Faults = append(v.Faults, FaultView(f))
	}
	return v
}
