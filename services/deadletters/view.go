package deadletters

import (
	"unicode/utf8"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
)

// Summary is a dead letter as lists show it, over HTTP and on the command line.
// Times are RFC 3339, in UTC.
type Summary struct {
	ID           string                `json:"id"`
	Subscription string                `json:"subscription,omitempty"` // from whose queue it was set aside, and to which it is replayed
	EventType    string                `json:"event_type,omitempty"`   // as far as it is known
	UserID       string                `json:"user_id,omitempty"`      // as far as it is known
	State        ports.DeadLetterState `json:"state"`
	Failure                            // the latest
	TimesAside   int                   `json:"times_set_aside"`
	Since        string                `json:"since"`                // the first of all failures
	SettledAt    string                `json:"settled_at,omitempty"` // when it was replayed or discarded
	SettledBy    string                `json:"settled_by,omitempty"` // the author of the decision
}

// Failure says why and when a message was set aside.
type Failure struct {
	Reason       string `json:"reason"`
	Attempts     int    `json:"attempts"`
	FirstFailure string `json:"first_failure"`
	LastFailure  string `json:"last_failure"`
}

func newFailure(f ports.Failure) Failure {
	return Failure{f.Reason, f.Attempts, httpapi.FormatTime(f.FirstFailure), httpapi.FormatTime(f.LastFailure)}
}

// NewSummary returns the summary of the dead letter.
func NewSummary(r ports.DeadLetterRecord) Summary {
	s := Summary{
		ID: r.ID, Subscription: r.Subscription, EventType: r.EventType, UserID: r.UserID, State: r.State, Failure: newFailure(r.LatestFailure()),
		TimesAside: len(r.Failures), Since: httpapi.FormatTime(r.Since), SettledBy: r.SettledBy,
	}
	if !r.SettledAt.IsZero() {
		s.SettledAt = httpapi.FormatTime(r.SettledAt)
	}
	return s
}

// View is one dead letter with its message.
type View struct {
	Summary
	Failures        []Failure         `json:"failures"` // the latest last
	MessageID       string            `json:"message_id"`
	ContentType     string            `json:"content_type"`
	ContentEncoding string            `json:"content_encoding,omitempty"`
	CorrelationID   string            `json:"correlation_id,omitempty"`
	ReplyTo         string            `json:"reply_to,omitempty"`
	Type            string            `json:"type,omitempty"`
	AppID           string            `json:"app_id,omitempty"`
	Timestamp       string            `json:"timestamp,omitempty"`
	Headers         map[string]string `json:"headers"`
	Body            *string           `json:"body,omitempty"`        // if it is UTF-8
	BodyBase64      []byte            `json:"body_base64,omitempty"` // otherwise
}

// NewView returns the view of the dead letter.
func NewView(r ports.DeadLetterRecord) View {
	m := r.Message
	v := View{
		Summary:   NewSummary(r),
		MessageID: m.ID, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, CorrelationID: m.CorrelationID,
		ReplyTo: m.ReplyTo, Type: m.Type, AppID: m.AppID, Headers: m.Headers,
	}
	if !m.Timestamp.IsZero() {
		v.Timestamp = httpapi.FormatTime(m.Timestamp)
	}
	for _, f := range r.Failures {
		v.Failures = append(v.Failures, newFailure(f))
	}
	if utf8.Valid(m.Body) {
		body := string(m.Body)
		v.Body = &body
	} else {
		v.BodyBase64 = m.Body
	}
	return v
}

// GroupsView counts dead letters by channel and by what their reasons have in common.
type GroupsView struct {
	Groups []GroupView `json:"groups"` // the largest first
	Total  int         `json:"total"`  // the dead letters of all groups
	More   bool        `json:"more"`   // there are more groups
}

// GroupView counts the dead letters of one group.
type GroupView struct {
	Channel string `json:"channel"`
	Reason  string `json:"reason"` // an ellipsis stands for what differs; the filter group selects it
	Count   int    `json:"count"`
	Oldest  string `json:"oldest"` // the first failure of the oldest
	Newest  string `json:"newest"`
}

// NewGroupsView returns the view of the groups.
func NewGroupsView(all ports.DeadLetterGroups) GroupsView {
	v := GroupsView{Groups: make([]GroupView, len(all.Groups)), Total: all.Total, More: all.More}
	for i, g := range all.Groups {
		v.Groups[i] = GroupView{channelOf(g.Subscription), g.Reason, g.Count, httpapi.FormatTime(g.Oldest), httpapi.FormatTime(g.Newest)}
	}
	return v
}
