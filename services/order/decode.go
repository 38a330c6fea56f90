package order

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"example.com/orderflow/domain"
	"example.com/orderflow/services/internal/httpapi"
)

const maxBody = 64 << 10

// readPlacement reads the request's body: one JSON object (RFC 8259) with the
// fields of a placement, each once, no others. Names are matched exactly.
func readPlacement(w http.ResponseWriter, r *http.Request) (Placement, error) {
	if err := checkMediaType(r.Header); err != nil {
		return Placement{}, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return Placement{}, &httpapi.Problem{
				Status: http.StatusRequestEntityTooLarge, Code: "too_large",
				Detail: fmt.Sprintf("the body is larger than %d bytes", maxBody),
			}
		}
		return Placement{}, httpapi.Malformed("the body could not be read to its end")
	}
	return decodePlacement(body)
}

func checkMediaType(h http.Header) error {
	unsupported := func(detail string) error {
		return &httpapi.Problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: detail}
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

func decodePlacement(body []byte) (Placement, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, err := decoder.Token(); err != nil {
		return Placement{}, malformed(err)
	} else if start != json.Delim('{') {
		return Placement{}, httpapi.Malformed("the body must be a JSON object")
	}

	var p Placement
	var faults []domain.FieldError
	seen := make(map[string]bool, 3)
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return Placement{}, malformed(err)
		}
		field := key.(string) // an object's keys are strings, or Token fails
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return Placement{}, malformed(err, shown(field))
		}
		if !utf8.Valid(value) {
			return Placement{}, httpapi.Malformed("the body is not valid UTF-8", shown(field))
		}
		reason := p.set(field, value)
		if seen[field] {
			reason = "is given more than once"
		}
		seen[field] = true
		if reason != "" {
			faults = append(faults, domain.FieldError{Field: shown(field), Reason: reason})
		}
	}
	if _, err := decoder.Token(); err != nil {
		return Placement{}, malformed(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return Placement{}, httpapi.Malformed("the body goes on behind the JSON object")
	}
	for _, field := range []string{"user_id", "product", "quantity"} {
		if !seen[field] {
			faults = append(faults, domain.FieldError{Field: field, Reason: "is missing"})
		}
	}
	if len(faults) > 0 {
		return Placement{}, httpapi.Invalid(faults...)
	}
	return p, nil
}

func (p *Placement) set(field string, value json.RawMessage) (reason string) {
	switch field {
	case "user_id":
		return setString(&p.UserID, value)
	case "product":
		return setString(&p.Product, value)
	case "quantity":
		return setWhole(&p.Quantity, value)
	}
	return "is not a field of an order; known: user_id, product, quantity"
}

func setString(to *string, value json.RawMessage) (reason string) {
	if value[0] != '"' {
		return "must be a string, not " + kind(value)
	}
	if err := json.Unmarshal(value, to); err != nil {
		return "must be a string"
	}
	return ""
}

func setWhole(to *int, value json.RawMessage) (reason string) {
	if k := kind(value); k != "a number" {
		return "must be a whole number, not " + k
	}
	n, err := strconv.Atoi(string(value))
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range: Atoi gives the nearest, and the domain says the limit
		return "must be a whole number, without fraction or exponent"
	}
	*to = n
	return ""
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

// malformed returns the problem of a body that is no JSON, found while reading
// the fields.
func malformed(err error, fields ...string) error {
	detail := "the body is not valid JSON"
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		detail += ": it ends too early"
	case errors.As(err, &syntax):
		detail += fmt.Sprintf(": %s, at byte %d", syntax, syntax.Offset)
	}
	return httpapi.Malformed(detail, fields...)
}

// shown makes a name that the client made up fit for an answer.
func shown(field string) string {
	const longest = 64
	if len(field) > longest {
		field = field[:longest] + "…"
	}
	return strings.ToValidUTF8(field, "�")
}
