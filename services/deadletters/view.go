package deadletters

import (
	"unicode/utf8"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
)

// Summary is the form in which lists show a dead letter, over HTTP
// and on the command line. Times are RFC 3339, in UTC.
type Summary struct {
	ID           string                `json:"id"`
	State        ports.DeadLetterState `json:"state"`
	Reason       string                `json:"reason"`        // of the latest failure, as all here
	Attempts     int                   `json:"attempts"`      // in the broker, before it was set aside
	FirstFailure string                `json:"first_failure"` // of those attempts
	LastFailure  string                `json:"last_failure"`
	TimesAside   int                   `json:"times_set_aside"`
	Since        string                `json:"since"`                // when it failed first of all
	SettledAt    string                `json:"settled_at,omitempty"` // when it was replayed or discarded
	SettledBy    string                `json:"settled_by,omitempty"` // who decided that
}

// NewSummary returns the summary of the letter.
func NewSummary(letter ports.DeadLetterRecord) Summary {
	s := Summary{
		ID: letter.ID, State: letter.State,
		TimesAside: len(letter.Failures), Since: httpapi.FormatTime(letter.Since),
	}
	if n := len(letter.Failures); n > 0 {
		last := newFailureView(letter.Failures[n-1])
		s.Reason, s.Attempts = last.Reason, last.Attempts
		s.FirstFailure, s.LastFailure = last.FirstFailure, last.LastFailure
	}
	if !letter.SettledAt.IsZero() {
		s.SettledAt, s.SettledBy = httpapi.FormatTime(letter.SettledAt), letter.SettledBy
	}
	return s
}

// View is the form in which one dead letter is shown.
type View struct {
	Summary
	Failures        []FailureView     `json:"failures"` // the latest last
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

// FailureView is a failure of a dead letter.
type FailureView struct {
	Reason       string `json:"reason"`
	Attempts     int    `json:"attempts"`
	FirstFailure string `json:"first_failure"`
	LastFailure  string `json:"last_failure"`
}

func newFailureView(f ports.Failure) FailureView {
	return FailureView{f.Reason, f.Attempts, httpapi.FormatTime(f.FirstFailure), httpapi.FormatTime(f.LastFailure)}
}

// NewView returns the letter as it is shown.
func NewView(letter ports.DeadLetterRecord) View {
	v := View{
		Summary:         NewSummary(letter),
		MessageID:       letter.Message.ID,
		ContentType:     letter.Message.ContentType,
		ContentEncoding: letter.Message.ContentEncoding,
		CorrelationID:   letter.Message.CorrelationID,
		ReplyTo:         letter.Message.ReplyTo,
		Type:            letter.Message.Type,
		AppID:           letter.Message.AppID,
		Headers:         letter.Message.Headers,
	}
	if !letter.Message.Timestamp.IsZero() {
		v.Timestamp = httpapi.FormatTime(letter.Message.Timestamp)
	}
	for _, f := range letter.Failures {
		v.Failures = append(v.Failures, newFailureView(f))
	}
	if utf8.Valid(letter.Message.Body) {
		body := string(letter.Message.Body)
		v.Body = &body
	} else {
		v.BodyBase64 = letter.Message.Body
	}
	return v
}
