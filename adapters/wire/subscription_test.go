package wire_test

import (
	"strings"
	"testing"

	"example.com/orderflow/adapters/wire"
)

func TestCheckSubscription(t *testing.T) {
	for _, name := range []string{"", "m", "mail", "web-hook.2", "!~", "dead-letters", "Retry", strings.Repeat("x", 32)} {
		if err := wire.CheckSubscription(name); err != nil {
			t.Errorf("name %q: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		strings.Repeat("x", 33): "must be 1 to 32 visible ASCII characters",
		"e mail":                "must be 1 to 32 visible ASCII characters",
		"mail\n":                `"mail\n", must be`,
		"é":                     "must be 1 to 32 visible ASCII characters",
		"dead-letter":           `"dead-letter", is reserved`,
		"unreadable":            "is reserved",
		"retry":                 "is reserved",
		"retry.1s":              "is reserved",
		"delay.1s":              "is reserved",
		"mail.retry.1s":         "is reserved",
	} {
		if err := wire.CheckSubscription(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("name %q: error %v, want one with %q", name, err, want)
		}
	}
}
