package ports_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"example.com/orderflow/ports"
)

func TestReasonGroup(t *testing.T) {
	for reason, want := range map[string]string{
		"":               "",
		"time out":       "time out",
		"404 Not Found":  "404 Not Found",
		"  two\n lines ": "two lines",
		"550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown":           "550 5.1.1 … Recipient address rejected: User unknown",
		"451 4.7.1 greylisted, try again in 300 seconds":                                  "451 4.7.1 greylisted, try again in … seconds",
		"send to https://host.example/hook/1?key=2: 503 Service Unavailable":              "send to … 503 Service Unavailable",
		"order 0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234 of user42 is too large: 12000 > 1000": "order … of … is too large: … > …",
		`header ce-type is "order.vanished", which is not a type of event`:                `header ce-type is "…", which is not a type of event`,
		"dial tcp 10.0.0.1:25: i/o timeout":                                               "dial tcp … i/o timeout",
		"ids 1 2 3 4 are wrong":                                                           "ids … are wrong",
		"one \" and `a b`":                                                                "one \" and `…`",
		"no answer (after 30s)":                                                           "no answer (after …)",
		"busy (channel mail2 to 1, 2, 3, send)":                                           "busy (channel … to … send)",
		"wrong ids (1, 2, 3).":                                                            "wrong ids (…)",
		"wrong id ((7)), twice (8)":                                                       "wrong id ((…)) twice (…)",
		"bad token " + strings.Repeat("x", 41):                                            "bad token …",
		"a\x00b\xff":                                                                      "a b",
		strings.Repeat("word ", 50):                                                       strings.TrimSpace(strings.Repeat("word ", 20)),
	} {
		if got := ports.ReasonGroup(reason); got != want {
			t.Errorf("ReasonGroup(%q) is %q, want %q", reason, got, want)
		}
	}
}

func FuzzReasonGroup(f *testing.F) {
	for _, reason := range []string{"", `a "b 1" c " d`, "550 5.1.1 user 7", "`\"`\"", "x@y …", "… … 1", strings.Repeat("ü", 600), "(\"550\")", "\"``", "(1 2) (3)", "((… …))", "(…)… …)", "'(1)' 2"} {
		f.Add(reason)
	}
	f.Fuzz(func(t *testing.T, reason string) {
		group := ports.ReasonGroup(reason)
		if again := ports.ReasonGroup(group); again != group {
			t.Errorf("the group of %q is %q, whose group is %q", reason, group, again)
		}
		if n := utf8.RuneCountInString(group); n > 100 || !utf8.ValidString(group) {
			t.Errorf("the group of %q has %d characters: %q", reason, n, group)
		}
	})
}
