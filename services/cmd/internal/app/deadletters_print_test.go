package app

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode"

	"example.com/orderflow/ports"
)

// Whatever strangers wrote, a terminal is told no commands.
func TestNoControlCharactersAreShown(t *testing.T) {
	const wicked = "a\x1b[2J\x07\u009bb\r\u202e"
	var out bytes.Buffer
	d := desk{Out: &checkedWriter{Writer: &out}}
	d.print(ports.DeadLetter{
		ID: wicked, MessageID: wicked, ContentType: wicked, Headers: map[string]string{wicked: wicked}, Body: []byte(wicked),
		Failures: []ports.Failure{{Reason: wicked}}, State: ports.Waiting,
	})
	d.tell(wicked, "replayed", nil, false)
	d.tell(wicked, "replayed", errors.New(wicked), false)
	if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Errorf("shown: %q", out.String())
	}
	if n := strings.Count(out.String(), "a\\x1b[2J"); n != 10 {
		t.Errorf("shown %d times, want 10:\n%s", n, out.String())
	}
}
