package domain

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// InvalidError names the fields that break a rule, and the rules. Its text can be
// shown to the sender of the input.
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

func checkNewText(s string, limit int) (reason string) {
	if reason = checkText(s, limit); reason == "" && !strings.ContainsFunc(s, isVisible) {
		return "must have a visible character"
	}
	return reason
}

// isVisible reports whether a text of only this character is visible.
func isVisible(r rune) bool {
	return !unicode.IsSpace(r) && !unicode.In(r, unicode.Z, unicode.Cf, unicode.Variation_Selector,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Noncharacter_Code_Point) && !slices.Contains(blanks, r)
}

// blanks are the invisible characters that Unicode classifies as symbols, letters
// or marks.
var blanks = []rune{
	'\u2800',     // braille pattern blank
	'\U00013441', // Egyptian hieroglyph full blank
	'\U00013442', // Egyptian hieroglyph half blank
	'\U00016fe4', // Khitan small script filler
	'\U0001d159', // musical symbol null notehead
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

func checkID(id OrderID) (reason string) {
	if !isUUID(string(id)) {
		return "must be a UUID in lower case with hyphens"
	}
	return ""
}

// isUUID reports whether s is a UUID in lower case with hyphens.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
