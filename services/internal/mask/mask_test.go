package mask

import (
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "",
		"mailbox full":     "mailbox full",
		"250 2.0.0 Ok":     "250 2.0.0 Ok",
		"ann@example.com":  "a…@example.com",
		"a@example.com":    "a…@example.com",
		"änn@exämple.com":  "ä…@exämple.com",
		"ann@localhost":    "a…@localhost",
		"ann@[192.0.2.1]":  "a…@[192.0.2.1]",
		"o'brien@x.de":     "o…@x.de",
		"'ann@x.de'":       "'a…@x.de'",
		"-_-@x.de":         "…@x.de",
		`"ann lee"@x.de`:   "…@x.de",
		`"a\"n@n"@x.de`:    "…@x.de",
		"user%ann@x.de":    "u…@x.de",
		"ann%40example.de": "a…%40example.de",
		"5.1.1 <ann.lee+shop@example.com>: no such user, nor bob@example.org": "5.1.1 <a…@example.com>: no such user, nor b…@example.org",
		"RCPT TO:<ann@x.de> ORCPT=rfc822;ann@x.de":                            "RCPT TO:<a…@x.de> ORCPT=rfc822;a…@x.de",
		"bounce+ann=example.com@lists.example.org":                            "b…@lists.example.org",
		"mailto:ann@x.de,bob@x.de":                                            "mailto:a…@x.de,b…@x.de",
		"a @ b, @handle and C@":                                               "a @ b, @handle and C@",
		"see https://example.com":                                             "see https://example.com",
		"see https://example.com/":                                            "see https://example.com/",
		`Post "https://hooks.example.com:8443/T0/s3cret?k=v": dial tcp`:       `Post "https://hooks.example.com:8443/…": dial tcp`,
		"https://user:pa55@hooks.example.com/x":                               "https://hooks.example.com/…",
		"https://example.com?mail=ann@x.de":                                   "https://example.com/…",
		"smtp://ann%40x.de:pw@mail.example.com:587":                           "smtp://mail.example.com:587",
		"a…@example.com":                                                      "a…@example.com",
	} {
		if got := Text(text); got != want {
			t.Errorf("Text(%q) is %q, want %q", text, got, want)
		}
	}
}

// No text around an address or a link keeps it from being masked.
func FuzzText(f *testing.F) {
	for _, seed := range [][2]string{{"", ""}, {"<", ">"}, {`"`, `"`}, {"x@", "@x"}, {"https://", "/x"}, {"%40", "%"}, {"=", "."}, {"\\", "\xff"}, {"[", "]"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, secret := range []struct{ text, hidden string }{
			{"annabel.lee@example.com", "bel.lee"},
			{"https://hooks.example.com/s3cret", "s3cret"},
		} {
			if strings.Contains(before+after, secret.hidden) {
				continue
			}
			text := before + secret.text + after
			masked := Text(text)
			if strings.Contains(masked, secret.hidden) {
				t.Errorf("Text(%q) is %q", text, masked)
			}
		}
	})
}
