package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const maxBody = 64 << 10

// BodyTimeout is how long a client may take to send a request's body.
const BodyTimeout = 10 * time.Second

// Field is a field of a JSON object in a request's body.
type Field struct {
	Name     string
	Optional bool

	// Set takes the field's value, which is valid JSON and UTF-8, or returns
	// why it does not, as the end of a sentence that begins with its name.
	Set func(value json.RawMessage) (reason string)
}

func (f Field) name() string { return f.Name }

// ReadObject reads the request's body: one JSON object (RFC 8259) with the
// fields given, each once, no others. Names are matched exactly. A body that is
// not there within [BodyTimeout] is refused with 408.
func ReadObject(w http.ResponseWriter, r *http.Request, what string, fields ...Field) error {
	if err := checkMediaType(r.Header); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	defer hold(w, 0)
	return DecodeObject(body, what, fields...)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if e, ok := w.(*exchange); ok {
		e.takeBody()
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(BodyTimeout)) // or another's server has its own
	if r.ContentLength > maxBody {
		return nil, tooLarge(w)
	}
	from := http.MaxBytesReader(w, r.Body, maxBody)
	body, err := io.ReadAll(io.LimitReader(from, small))
	if err == nil && len(body) == small { // there may be more
		if !hold(w, maxBody) {
			return nil, lastOf(w, outOfMemory())
		}
		whole := bytes.NewBuffer(slices.Grow(body, maxBody-small+bytes.MinRead))
		_, err = whole.ReadFrom(from)
		body = whole.Bytes()
	}
	var most *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &most):
		return nil, tooLarge(w)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, lastOf(w, &Problem{
			Status: http.StatusRequestTimeout, Code: "timeout",
			Detail: fmt.Sprintf("the body was not there within %v; nothing was done", BodyTimeout),
		})
	}
	return nil, Malformed("the body could not be read to its end")
}

func tooLarge(w http.ResponseWriter) error {
	return lastOf(w, &Problem{
		Status: http.StatusRequestEntityTooLarge, Code: "too_large",
		Detail: fmt.Sprintf("the body is larger than %d bytes", maxBody),
	})
}

// lastOf makes the problem the last answer of its connection, on which the rest
// of a body may yet come.
func lastOf(w http.ResponseWriter, p *Problem) error {
	w.Header().Set("Connection", "close")
	return p
}

func checkMediaType(h http.Header) error {
	unsupported := func(detail string) error {
		return &Problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: detail}
	}
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return unsupported("the header Content-Type must be application/json")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return unsupported("the header Content-Type must name no charset but utf-8")
	}
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return unsupported("the header Content-Encoding must be absent: bodies are taken as they are")
	}
	return nil
}

// DecodeObject is [ReadObject] of a body that was read; what is described, such
// as "an order", is named in refusals of fields that it does not have.
func DecodeObject(body []byte, what string, fields ...Field) error {
	if !json.Valid(body) || !isObject(body) || !utf8.Valid(body) {
		return whyNoObject(body)
	}
	var f faults
	seen := make([]bool, len(fields))
	for name, value := range members(body) {
		i := slices.IndexFunc(fields, func(field Field) bool { return field.Name == name })
		switch {
		case i < 0:
			addUnknown(&f, name, fields, Field.name, "a field of ", what)
		case seen[i]:
			f.add(name, "is given more than once")
		default:
			seen[i] = true
			f.add(name, fields[i].Set(value))
		}
	}
	for i, field := range fields {
		if !field.Optional && !seen[i] {
			f.add(field.Name, "is missing")
		}
	}
	return f.err()
}

// whyNoObject finds where a body stops being one JSON object in UTF-8.
func whyNoObject(body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, err := decoder.Token(); err != nil {
		return notJSON(err)
	} else if start != json.Delim('{') {
		return Malformed("the body must be a JSON object")
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return notJSON(err)
		}
		name := key.(string) // an object's keys are strings, or Token fails
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return notJSON(err, shown(name))
		}
		if !utf8.Valid(value) {
			return Malformed("the body is not valid UTF-8", shown(name))
		}
	}
	if _, err := decoder.Token(); err != nil {
		return notJSON(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Malformed("the body goes on behind the JSON object")
	}
	if !utf8.Valid(body) {
		return Malformed("the body is not valid UTF-8")
	}
	return Malformed("the body is nested too deeply") // for encoding/json as a whole, not for its parts
}

// Text sets a string.
func Text(to *string) func(json.RawMessage) string {
	return func(value json.RawMessage) (reason string) {
		if value[0] != '"' {
			return "must be a string, not " + kind(value)
		}
		*to = unquote(value)
		return ""
	}
}

// Texts sets a list of strings.
func Texts(to *[]string) func(json.RawMessage) string {
	return func(value json.RawMessage) (reason string) {
		var list []*string
		if err := json.Unmarshal(value, &list); err != nil || list == nil || slices.Contains(list, nil) {
			return "must be a list of strings"
		}
		for _, text := range list {
			*to = append(*to, *text)
		}
		return ""
	}
}

// Whole sets a whole number; one that is out of range becomes the nearest.
func Whole(to *int) func(json.RawMessage) string {
	return func(value json.RawMessage) (reason string) {
		if k := kind(value); k != "a number" {
			return "must be a whole number, not " + k
		}
		n, err := strconv.Atoi(string(value))
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return "must be a whole number, without fraction or exponent"
		}
		*to = n
		return ""
	}
}

// Truth sets a truth value.
func Truth(to *bool) func(json.RawMessage) string {
	return func(value json.RawMessage) (reason string) {
		if k := kind(value); k != "a truth value" {
			return "must be true or false, not " + k
		}
		*to = value[0] == 't'
		return ""
	}
}

func kind(value json.RawMessage) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "a truth value"
	case 'n':
		return "null"
	}
	return "a number"
}

// notJSON returns the problem of a body that is no JSON, found while reading
// the fields.
func notJSON(err error, fields ...string) error {
	detail := "the body is not valid JSON"
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		detail += ": it ends too early"
	case errors.As(err, &syntax):
		detail += fmt.Sprintf(": %s, at byte %d", syntax, syntax.Offset)
	}
	return Malformed(detail, fields...)
}
