package httpapi

import (
	"fmt"
	"net/http"
	"strings"

	"example.com/orderflow/domain"
)

const (
	maxFaults = 16  // faults that an answer lists
	maxName   = 64  // characters of a name or value from the client
	maxText   = 256 // characters of a reason, a path or a detail
)

// faults collects a request's faults: the first in full, and the number of others.
type faults struct {
	first []domain.FieldError
	more  int
}

// add adds the fault of a field, whose name may come from the client. An empty
// reason is no fault.
func (f *faults) add(field, reason string) {
	switch {
	case reason == "":
	case len(f.first) == maxFaults:
		f.more++
	default:
		f.first = append(f.first, domain.FieldError{Field: shown(field), Reason: cut(reason, maxText)})
	}
}

// addUnknown adds the fault that no known field or parameter has the name.
func addUnknown[T any](f *faults, name string, known []T, nameOf func(T) string, kind, what string) {
	if len(f.first) == maxFaults { // there may be thousands: don't make their texts
		f.more++
		return
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = nameOf(k)
	}
	f.add(name, "is not "+kind+what+"; known: "+strings.Join(names, ", "))
}

// err returns the problem of the faults, or nil without faults.
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

// shown returns a name or value from the client as answers and logs show it.
func shown(text string) string { return cut(text, maxName) }

// cut returns the first limit characters of the text, in valid UTF-8.
func cut(text string, limit int) string {
	text = strings.ToValidUTF8(text, "�")
	characters := 0
	for i := range text {
		if characters == limit {
			return text[:i] + "…"
		}
		characters++
	}
	return text
}
