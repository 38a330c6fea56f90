package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"example.com/orderflow/domain"
)

const (
	maxFaults   = 16  // that an answer names
	longestName = 64  // characters of a name or value that the client made up
	longestText = 256 // characters of a reason, a path or a detail
)

// faults collects what is wrong with a request: a few in full, and how many
// more there are.
type faults struct {
	first []domain.FieldError
	more  int
}

// add keeps the fault of the field, whose name may be the client's; an empty
// reason is no fault.
func (f *faults) add(field, reason string) {
	switch {
	case reason == "":
	case len(f.first) == maxFaults:
		f.more++
	default:
		f.first = append(f.first, domain.FieldError{Field: shown(field), Reason: cut(reason, longestText)})
	}
}

// addUnknown keeps that the client's name is none of those known.
func addUnknown[T any](f *faults, name string, known []T, nameOf func(T) string, kind, what string) {
	if len(f.first) == maxFaults { // and there may be thousands
		f.more++
		return
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = nameOf(k)
	}
	f.add(name, "is not "+kind+what+"; known: "+strings.Join(names, ", "))
}

// err returns the problem of the faults, nil if there are none.
func (f *faults) err() error {
	if len(f.first) == 0 {
		return nil
	}
	return f.problem()
}

func (f *faults) problem() *Problem {
	return &Problem{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: f.String(), Errors: f.first}
}

func (f *faults) String() string {
	var b strings.Builder
	for i, fault := range f.first {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(fault.Field + " " + fault.Reason)
	}
	if f.more > 0 {
		fmt.Fprintf(&b, "; and %d more", f.more)
	}
	return b.String()
}

// shown makes a name or value that the client made up fit for an answer.
func shown(text string) string { return cut(text, longestName) }

// cut returns at most so many characters of the text, in valid UTF-8.
func cut(text string, most int) string {
	if len(text) > most { // it may have more characters
		n := 0
		for i := range text {
			if n == most {
				text = text[:i] + "…"
				break
			}
			n++
		}
	}
	if utf8.ValidString(text) {
		return text
	}
	return strings.ToValidUTF8(text, "�")
}
