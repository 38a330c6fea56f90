package operators

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/deadletters"
)

// Messages may contain control characters, and terminals obey them.
func TestPrintEscapesControlCharacters(t *testing.T) {
	const wicked = "a\x1b[2J\x07\u009bb\r\u202e"
	var out bytes.Buffer
	s := session{out: bufio.NewWriter(&out)}
	record := ports.DeadLetterRecord{
		ID: wicked,
		Message: ports.Message{
			ID: wicked, ContentType: wicked, ContentEncoding: wicked, CorrelationID: wicked, ReplyTo: wicked, Type: wicked, AppID: wicked,
			Headers: map[string]string{wicked: wicked}, Body: []byte(wicked),
		},
		Subscription: wicked, Failures: []ports.Failure{{Reason: wicked}}, State: ports.Replayed, SettledBy: wicked, SettledAt: time.Unix(0, 0),
	}
	s.print(record)
	s.printResult(wicked, "replayed", nil, false)
	s.printResult(wicked, "replayed", errors.New(wicked), false)
	s.out.Flush()
	if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Errorf("shown: %q", out.String())
	}
	if n := strings.Count(out.String(), "a\\x1b[2J"); n != 17 {
		t.Errorf("shown %d times, want 17:\n%s", n, out.String())
	}

	out.Reset()
	s.printJSON(deadletters.NewView(record))
	s.out.Flush()
	if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) {
		t.Errorf("as JSON: %q", out.String())
	}
	var view deadletters.View
	if err := json.Unmarshal(out.Bytes(), &view); err != nil || view.ReplyTo != wicked || view.SettledBy != wicked {
		t.Errorf("read again: %q, %q, error %v, want %q", view.ReplyTo, view.SettledBy, err, wicked)
	}
}

// A command that fails for thousands of ids prints few lines.
func TestJoinErrors(t *testing.T) {
	if err := joinErrors(nil); err != nil {
		t.Errorf("no errors joined: got %v, want nil", err)
	}
	var errs []error
	for n := range 1000 {
		errs = append(errs, fmt.Errorf("error %d", n))
	}
	got := joinErrors(errs).Error()
	if lines := strings.Split(got, "\n"); len(lines) != 17 || lines[15] != "error 15" || lines[16] != "and 984 more" {
		t.Errorf("got:\n%s", got)
	}
	if got := joinErrors(errs[:16]).Error(); strings.Contains(got, "more") {
		t.Errorf("got:\n%s", got)
	}
}

func TestPrintCountsAttempts(t *testing.T) {
	var out bytes.Buffer
	s := session{out: bufio.NewWriter(&out)}
	s.print(ports.DeadLetterRecord{Failures: []ports.Failure{{Attempts: 1}, {Attempts: 2}}})
	s.out.Flush()
	if got := out.String(); !strings.Contains(got, "after 1 attempt, from") || !strings.Contains(got, "after 2 attempts, from") {
		t.Errorf("got:\n%s", got)
	}
}
