package domain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// InvalidError says which fields break a rule, and which rule. Its words are
// made for the one who sent the input.
type InvalidError struct {
	Fields []FieldError
}

// FieldError is one field's fault, such as {"quantity", "must be at least 1"}.
type FieldError struct {
	Field  string
	Reason string
}

func (e *InvalidError) Error() string {
	faults := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		faults[i] = f.Field + " " + f.Reason
	}
	return strings.Join(faults, "; ")
}

func (e *InvalidError) add(field, reason string) {
	if reason != "" {
		e.Fields = append(e.Fields, FieldError{Field: field, Reason: reason})
	}
}

func checkText(s string, limit int) (reason string) {
	switch {
	case s == "":
		return "is missing"
	case !utf8.ValidString(s):
		return "must be valid UTF-8"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "must not contain control characters"
	case strings.ContainsRune(s, utf8.RuneError):
		return "must not contain the replacement character U+FFFD, which stands for broken text"
	case utf8.RuneCountInString(s) > limit:
		return fmt.Sprintf("must have at most %d characters", limit)
	}
	return ""
}

func checkRange(n, limit int) (reason string) {
	switch {
	case n < 1:
		return "must be at least 1"
	case n > limit:
		return fmt.Sprintf("must be at most %d", limit)
	}
	return ""
}

const uuidLength = 36

func checkUUID(s string) (reason string) {
	const wrong = "must be a UUID in lower case with hyphens"
	if len(s) != uuidLength {
		return wrong
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return wrong
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return wrong
			}
		}
	}
	return ""
}
