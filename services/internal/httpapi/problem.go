package httpapi

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/mask"
)

// Problem is an error answer: application/problem+json (RFC 9457) with the
// extensions code, errors and request_id. It is an error, so that handlers can
// return it.
type Problem struct {
	Status     int
	Code       string // for programs: short and fixed
	Detail     string // for people; never the text of an internal error
	Errors     []domain.FieldError
	RetryAfter time.Duration // rounded up to seconds; 0: no such header
	Counted    bool          // the log has it already, or counts it instead of a line for each
	Cause      error         // for the log alone; nil: the code says it
}

func (p *Problem) Error() string { return p.Detail }

// Malformed returns the problem of a request that can't be parsed, with the
// fields where parsing failed, if they are known.
func Malformed(detail string, fields ...string) *Problem {
	p := &Problem{Status: http.StatusBadRequest, Code: "malformed", Detail: detail}
	for _, field := range fields {
		p.Errors = append(p.Errors, domain.FieldError{Field: field, Reason: "can't be read"})
		p.Detail += ", in the field " + field
	}
	return p
}

// Invalid returns the problem of a request whose fields break a rule.
func Invalid(fields ...domain.FieldError) *Problem {
	var f faults
	for _, field := range fields {
		f.add(field.Field, field.Reason)
	}
	return f.problem()
}

// Unavailable returns the problem of a request that failed because the store or
// the broker did not answer. The log gets the cause, which may be nil.
func Unavailable(detail string, cause error) *Problem {
	p := tryAgain("unavailable", detail)
	p.Cause = cause
	return p
}

// Overloaded returns the problem of a request that a busy service refused before
// it did any work for it.
func Overloaded(detail string) *Problem { return tryAgain("overloaded", detail) }

func tryAgain(code, detail string) *Problem {
	return &Problem{Status: http.StatusServiceUnavailable, Code: code, Detail: detail, RetryAfter: time.Second}
}

// Unreadable returns the problem of a stored record that can't be read. what names
// the record, such as "the order".
func Unreadable(what string, err *ports.UnreadableError) *Problem {
	field, reason := shown(err.Field), cut(err.Reason, maxText)
	return &Problem{
		Status: http.StatusInternalServerError, Code: "unreadable",
		Detail: what + " is stored, but can't be read: " + field + " " + reason,
		Errors: []domain.FieldError{{Field: field, Reason: reason}},
	}
}

// log logs why the request was refused, without what the client has sent.
func (p *Problem) log(r *http.Request, log *slog.Logger) {
	level, message := slog.LevelInfo, "request refused"
	if p.Status >= http.StatusInternalServerError {
		level, message = slog.LevelWarn, "request failed"
	}
	if p.Counted || !log.Enabled(r.Context(), level) {
		return
	}
	args := []any{"method", shown(r.Method), "path", mask.Text(cut(r.URL.Path, maxText)), "status", p.Status, "code", p.Code}
	if len(p.Errors) > 0 {
		fields := make([]string, len(p.Errors))
		for i, e := range p.Errors {
			fields[i] = mask.Text(e.Field)
		}
		args = append(args, "fields", fields)
	}
	if p.Cause != nil {
		args = append(args, "error", mask.Error(p.Cause))
	}
	log.Log(r.Context(), level, message, args...)
}

// Write answers r with the problem, or with [Overloaded] if the problem is large
// and no memory is free for it.
func (p *Problem) Write(w http.ResponseWriter, r *http.Request) {
	body := p.encode(w, r)
	if !reserve(w, len(body)) {
		p = outOfMemory()
		body = p.encode(w, r)
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(p.RetryAfter)))
	}
	write(w, p.Status, "application/problem+json", body)
}

func (p *Problem) encode(w http.ResponseWriter, r *http.Request) []byte {
	type field struct {
		Field  string `json:"field"`
		Detail string `json:"detail"`
	}
	answer := struct {
		Type      string  `json:"type"`
		Title     string  `json:"title"`
		Status    int     `json:"status"`
		Detail    string  `json:"detail"`
		Instance  string  `json:"instance"`
		Code      string  `json:"code"`
		Errors    []field `json:"errors,omitempty"`
		RequestID string  `json:"request_id"`
	}{
		Type: "about:blank", Title: http.StatusText(p.Status), Status: p.Status, Detail: p.Detail,
		Instance: cut(r.URL.Path, maxText), Code: p.Code, RequestID: w.Header().Get(requestIDHeader),
	}
	for _, e := range p.Errors {
		answer.Errors = append(answer.Errors, field{e.Field, e.Reason})
	}
	return encode(answer)
}
