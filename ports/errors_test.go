package ports_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestMarks(t *testing.T) {
	marks := []struct {
		name string
		mark func(error) error
		is   func(error) bool
	}{
		{"Permanent", ports.Permanent, ports.IsPermanent},
		{"Postpone", ports.Postpone, ports.IsPostponed},
	}
	cause := errors.New("no such address")
	for i, m := range marks {
		t.Run(m.name, func(t *testing.T) {
			marked := fmt.Errorf("send: %w", m.mark(cause))
			if !m.is(marked) {
				t.Error("a wrapped mark is not found")
			}
			if !errors.Is(marked, cause) {
				t.Error("the mark hides its cause")
			}
			if got, want := marked.Error(), "send: no such address"; got != want {
				t.Errorf("the mark changes the text: got %q, want %q", got, want)
			}
			if m.is(cause) || m.is(nil) || m.is(marks[1-i].mark(cause)) {
				t.Error("an error without this mark counts as marked")
			}
			if !m.is(marks[1-i].mark(m.mark(cause))) {
				t.Error("another mark hides the first")
			}
			if err := m.mark(nil); err != nil {
				t.Errorf("marking nil gives %v, want nil", err)
			}
		})
	}
}

func TestOutcomeOf(t *testing.T) {
	err := errors.New("no such address")
	for _, tt := range []struct {
		name string
		err  error
		want domain.Outcome
	}{
		{"no error", nil, domain.Accepted},
		{"no mark", err, domain.Refused},
		{"no mark, with a time to wait", ports.RetryAfter(err, time.Minute), domain.Refused},
		{"Permanent", ports.Permanent(err), domain.Rejected},
		{"Gone", ports.Gone(err), domain.Rejected},
		{"Postpone", ports.Postpone(err), domain.Unreachable},
		{"Postpone, wrapped", fmt.Errorf("send: %w", ports.RetryAfter(ports.Postpone(err), time.Minute)), domain.Unreachable},
		{"both marks", ports.Postpone(ports.Permanent(err)), domain.Rejected},
	} {
		if got := ports.OutcomeOf(tt.err); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
