package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"example.com/orderflow/domain"
)

// Problem is an error answer: application/problem+json (RFC 9457) with the
// extensions code, errors and request_id. It is an error, so that decoding
// steps can return it.
type Problem struct {
	Status     int
	Code       string // for programs: short, fixed, lower case
	Detail     string // for people; never text from inside the service
	Errors     []domain.FieldError
	RetryAfter time.Duration // rounded up to seconds; 0: no such header
}

func (p *Problem) Error() string { return p.Detail }

// Malformed returns the problem of a request that can't be read, and the
// fields where that shows, if any.
func Malformed(detail string, fields ...string) *Problem {
	p := &Problem{Status: http.StatusBadRequest, Code: "malformed", Detail: detail}
	for _, field := range fields {
		p.Errors = append(p.Errors, domain.FieldError{Field: field, Reason: "can't be read"})
		p.Detail += ", in the field " + field
	}
	return p
}

// Invalid returns the problem of a request that can be read, but whose fields
// break a rule.
func Invalid(fields ...domain.FieldError) *Problem {
	return &Problem{
		Status: http.StatusUnprocessableEntity, Code: "invalid",
		Detail: (&domain.InvalidError{Fields: fields}).Error(), Errors: fields,
	}
}

// Unavailable returns the problem of a service that can't answer now.
func Unavailable(detail string) *Problem {
	return &Problem{
		Status: http.StatusServiceUnavailable, Code: "unavailable",
		Detail: detail, RetryAfter: time.Second,
	}
}

// Write answers r with the problem.
func (p *Problem) Write(w http.ResponseWriter, r *http.Request) {
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
		Instance: r.URL.Path, Code: p.Code, RequestID: w.Header().Get(requestIDHeader),
	}
	for _, e := range p.Errors {
		answer.Errors = append(answer.Errors, field{e.Field, e.Reason})
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
	write(w, p.Status, "application/problem+json", answer)
}

// WriteJSON answers with the value as JSON.
func WriteJSON(w http.ResponseWriter, status int, value any) {
	write(w, status, "application/json", value)
}

// FormatTime returns the time as answers have it: RFC 3339, UTC, milliseconds.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func write(w http.ResponseWriter, status int, contentType string, value any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // our own types always encode
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the client may be gone: nobody left to tell
}
